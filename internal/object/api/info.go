package api

import (
	"net/http"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// policyName is what Swift calls its one storage policy.
const policyName = "Policy-0"

type policyView struct {
	Name    string `json:"name"`
	Aliases string `json:"aliases"`
	Default bool   `json:"default"`
}

// info tells what there is, by the names of Swift's middlewares.
func info(*api.Call) (map[string]map[string]any, error) {
	return map[string]map[string]any{
		"swift": {
			"version": "2.30.0", "max_file_size": int64(object.MaxObjectSize), "max_meta_name_length": object.MaxMetaName,
			"max_meta_value_length": object.MaxMetaValue, "max_meta_count": object.MaxMetaCount,
			"max_meta_overall_size": object.MaxMetaSize, "max_object_name_length": object.MaxObjectName,
			"max_container_name_length": object.MaxContainerName, "max_account_name_length": object.MaxAccountName,
			"container_listing_limit": object.MaxListing, "account_listing_limit": object.MaxListing,
			"max_header_size": 8192, "strict_cors_mode": true, "allow_account_management": true, "account_autocreate": true,
			"policies": []policyView{{Name: policyName, Aliases: policyName, Default: true}},
		},
		"account_quotas":    {},
		"container_quotas":  {},
		"bulk_delete":       {"max_deletes_per_request": maxDeletes, "max_failed_deletes": maxFailures},
		"bulk_upload":       {"max_containers_per_extraction": maxExtracted, "max_failed_extractions": maxFailures},
		"crossdomain":       {},
		"dlo":               {},
		"formpost":          {"allowed_digests": digestNames(), "deprecated_digests": []string{"sha1"}},
		"object_versioning": {},
		"s3api": {
			"allow_multipart_uploads": true, "max_bucket_listing": 1000, "max_multi_delete_objects": 1000, "max_parts_listing": 1000,
			"max_upload_part_num": object.MaxParts, "min_segment_size": object.MinPartSize, "s3_acl": false,
		},
		"slo": {
			"max_manifest_segments": object.MaxSegments, "max_manifest_size": maxManifest, "min_segment_size": 1, "yield_frequency": 10,
			"allow_async_delete": false,
		},
		"staticweb": {},
		"symlink":   {"symloop_max": object.MaxLinks, "static_links": true},
		"tempurl": {
			"methods": tempMethods, "allowed_digests": digestNames(), "deprecated_digests": []string{"sha1"},
			"incoming_remove_headers": []string{"x-timestamp", "x-open-expired"}, "incoming_allow_headers": []string{},
			"outgoing_remove_headers": []string{"x-object-meta-*"}, "outgoing_allow_headers": []string{"x-object-meta-public-*"},
		},
		"versioned_writes": {"allowed_flags": []string{"x-versions-location", "x-history-location"}},
	}, nil
}

func healthcheck(*api.Call) (api.Reply, error) {
	return api.Reply{ContentType: "text/plain; charset=UTF-8", Body: []byte("OK")}, nil
}

// crossdomain is the policy file of an old browser plug-in. Ours lets nobody in.
func crossdomain(*api.Call) (api.Reply, error) {
	return api.Reply{ContentType: "application/xml; charset=UTF-8", Body: []byte(`<?xml version="1.0"?>
<!DOCTYPE cross-domain-policy SYSTEM "http://www.adobe.com/xml/dtds/cross-domain-policy.dtd" >
<cross-domain-policy>
</cross-domain-policy>`)}, nil
}

// authenticate is the first version of Swift's authentication: project:user and
// a password in headers.
func (h handlers) authenticate(c *api.Call) (api.Reply, error) {
	name, key := first(c, "X-Auth-User", "X-Storage-User"), first(c, "X-Auth-Key", "X-Storage-Pass")
	project, user, ok := strings.Cut(name, ":")
	if !ok || key == "" || !legible(name) || !legible(key) {
		return api.Reply{}, errs.Unauthorizedf("This server could not verify that you are authorized to access the document you requested.").
			With("WWW-Authenticate", `Swift realm="unknown"`)
	}
	session, err := h.signIn(c.Context(), project, user, key)
	if err != nil {
		return api.Reply{}, err
	}
	c.SetHeader("X-Auth-Token", session.Token)
	c.SetHeader("X-Storage-Token", session.Token)
	c.SetHeader("X-Storage-Url", c.URL("/v1/AUTH_"+session.Project))
	c.SetHeader("X-Auth-Token-Expires", strconv.Itoa(int(session.ExpiresAt.Sub(c.Now()).Seconds())))
	return api.Reply{Status: http.StatusOK, ContentType: "text/html; charset=UTF-8"}, nil
}

func first(c *api.Call, headers ...string) string {
	for _, name := range headers {
		if value := c.Header(name); value != "" {
			return value
		}
	}
	return ""
}
