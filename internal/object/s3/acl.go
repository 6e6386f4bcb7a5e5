package s3

import (
	"encoding/xml"
	"net/http"
	"strings"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// Access lists are Swift's, so that both APIs mean the same; these are the ones
// that S3 has words for.
const (
	everybody = ".r:*,.rlistings"
	signedIn  = "*:*"
)

const (
	allUsers           = "http://acs.amazonaws.com/groups/global/AllUsers"
	authenticatedUsers = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
)

// canned is the list for reading that a canned ACL stands for.
func canned(name string) (string, error) {
	switch name {
	case "", "private", "bucket-owner-read", "bucket-owner-full-control":
		return "", nil
	case "public-read":
		return everybody, nil
	case "authenticated-read":
		return signedIn, nil
	case "public-read-write", "aws-exec-read", "log-delivery-write":
		return "", fault(errs.NotImplemented, "NotImplemented", "The canned ACL %s is not implemented.", name)
	}
	return "", fault(errs.BadRequest, "InvalidArgument", "The canned ACL %q is none.", name)
}

type grantee struct {
	Space       string `xml:"xmlns:xsi,attr"`
	Type        string `xml:"xsi:type,attr"`
	ID          string `xml:",omitempty"`
	DisplayName string `xml:",omitempty"`
	URI         string `xml:",omitempty"`
}

type grant struct {
	Grantee    grantee
	Permission string
}

type aclDoc struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ AccessControlPolicy"`
	Owner   owner
	Grants  []grant `xml:"AccessControlList>Grant"`
}

const schema = "http://www.w3.org/2001/XMLSchema-instance"

func (e entry) viewACL(read string) (any, error) {
	o := e.owner()
	doc := aclDoc{Owner: o, Grants: []grant{{grantee{Space: schema, Type: "CanonicalUser", ID: o.ID, DisplayName: o.DisplayName}, "FULL_CONTROL"}}}
	for _, element := range strings.Split(read, ",") {
		group := map[string]string{".r:*": allUsers, signedIn: authenticatedUsers}[element]
		if group != "" {
			doc.Grants = append(doc.Grants, grant{grantee{Space: schema, Type: "Group", URI: group}, "READ"})
		}
	}
	return answer(doc)
}

// wantedACL reads the list from the header or the body of a request.
func wantedACL(e entry) (string, error) {
	if name := e.c.Header("X-Amz-Acl"); name != "" {
		return canned(name)
	}
	var in struct {
		Owner  owner
		Grants []struct {
			Grantee struct {
				ID  string
				URI string
			}
			Permission string
		} `xml:"AccessControlList>Grant"`
	}
	err := read(e.c, &in)
	if err != nil {
		return "", err
	}
	list := ""
	for _, g := range in.Grants {
		switch {
		case g.Grantee.URI == "" && g.Grantee.ID == e.c.Caller.Project:
		case g.Grantee.URI == allUsers && g.Permission == "READ":
			list = everybody
		case g.Grantee.URI == authenticatedUsers && g.Permission == "READ":
			if list == "" {
				list = signedIn
			}
		default:
			return "", fault(errs.NotImplemented, "NotImplemented", "Grants are for the owner, and to read for everybody or for whoever is signed in.")
		}
	}
	return list, nil
}

func (h handlers) bucketACL(e entry) (any, error) { return e.viewACL(e.box.Settings.V.Read) }

func (h handlers) setBucketACL(e entry) (any, error) {
	list, err := wantedACL(e)
	if err != nil {
		return nil, err
	}
	return done(e.change(func(s *object.Settings) error { s.Read = list; return nil }), http.StatusOK)
}

func (h handlers) objectACL(e entry) (any, error) {
	o, err := h.store.Object(e.c.Context(), e.Place)
	if err != nil {
		return nil, errNoKey(err, e.Version != "")
	}
	e.version(o.VersionID())
	return e.viewACL(o.ReadACL)
}

func (h handlers) setObjectACL(e entry) (any, error) {
	list, err := wantedACL(e)
	if err != nil {
		return nil, err
	}
	o, err := h.store.Update(e.c.Context(), e.Place, func(o *object.Object) error {
		o.ReadACL = list
		return nil
	})
	if err != nil {
		return nil, errNoKey(err, e.Version != "")
	}
	e.version(o.VersionID())
	return api.Reply{Status: http.StatusOK}, nil
}
