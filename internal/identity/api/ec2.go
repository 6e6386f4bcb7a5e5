package api

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

func (h handlers) ec2() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/users/{user_id}/credentials/OS-EC2", Rule: "identity:ec2_list_credentials", Do: api.Get(h.listEC2)},
		{Method: "POST", Path: "/users/{user_id}/credentials/OS-EC2", Rule: "identity:ec2_create_credential", OK: 201, Do: api.Body(h.createEC2)},
		{Method: "GET", Path: "/users/{user_id}/credentials/OS-EC2/{credential_id}", Rule: "identity:ec2_get_credential", Do: api.Get(h.showEC2)},
		{Method: "DELETE", Path: "/users/{user_id}/credentials/OS-EC2/{credential_id}", Rule: "identity:ec2_delete_credential", OK: 204, Do: api.Empty(h.deleteEC2)},
		{Method: "POST", Path: "/ec2tokens", Rule: "identity:ec2tokens_validate", Do: api.Body(h.ec2Token)},
		{Method: "POST", Path: "/s3tokens", Rule: "identity:s3tokens_validate", Do: api.Body(h.s3Token)},
	}
}

type ec2View struct {
	UserID   string   `json:"user_id"`
	TenantID string   `json:"tenant_id"`
	Access   string   `json:"access"`
	Secret   string   `json:"secret"`
	TrustID  *string  `json:"trust_id"`
	Links    selfLink `json:"links"`
}

func viewEC2(c *api.Call, e identity.EC2Credential) any {
	return ec2View{e.User, e.Project, e.Access, e.Secret, orNull(e.Trust), selfLink{c.URL("/users/" + e.User + "/credentials/OS-EC2/" + e.Access)}}
}

func (h handlers) listEC2(c *api.Call) (map[string]any, error) {
	user := c.PathValue("user_id")
	err := c.Authorize(auth.Target{User: user})
	if err != nil {
		return nil, err
	}
	_, err = h.identity.User(c.Context(), user)
	if err != nil {
		return nil, err
	}
	rows, err := h.identity.EC2Credentials(c.Context(), user)
	rows = keep(rows, func(e identity.EC2Credential) bool { return withinDelegation(c, e.Project, e.Delegation) == nil })
	return many(c, "credentials", viewEC2, rows, err)
}

type createEC2Request struct {
	_        struct{} `check:"open"`
	TenantID string   `json:"tenant_id" check:"required"`
}

func (h handlers) createEC2(c *api.Call, in createEC2Request) (map[string]any, error) {
	err := c.Authorize(ownedBy(c.PathValue("user_id")))
	if err != nil {
		return nil, err
	}
	err = unrestricted(c)
	if err != nil {
		return nil, err
	}
	err = withinDelegation(c, in.TenantID, delegation(c))
	if err != nil {
		return nil, err
	}
	e, err := h.identity.CreateEC2Credential(c.Context(), c.PathValue("user_id"), in.TenantID, delegation(c))
	return one(c, "credential", viewEC2, e, err)
}

// findEC2 finds the access key of the path and authorizes. It must be the one
// of the user in the path.
func (h handlers) findEC2(c *api.Call) (identity.EC2Credential, error) {
	e, err := h.identity.EC2Credential(c.Context(), c.PathValue("credential_id"))
	if err != nil {
		return e, err
	}
	err = c.Authorize(ownedBy(e.User))
	if err != nil {
		return e, err
	}
	if e.User != c.PathValue("user_id") {
		return e, errs.NotFoundf("EC2 access key not found.")
	}
	return e, withinDelegation(c, e.Project, e.Delegation)
}

func (h handlers) showEC2(c *api.Call) (map[string]any, error) {
	e, err := h.findEC2(c)
	return one(c, "credential", viewEC2, e, err)
}

func (h handlers) deleteEC2(c *api.Call) error {
	e, err := h.findEC2(c)
	if err != nil {
		return err
	}
	return h.identity.DeleteEC2Credential(c.Context(), e.Access)
}

// signedRequest is a request that a service has received, or the text that was
// signed of it. Parameters may be numbers.
type signedRequest struct {
	_         struct{}                   `check:"open"`
	Access    string                     `json:"access"`
	Signature string                     `json:"signature"`
	Token     string                     `json:"token"`
	Host      string                     `json:"host"`
	Verb      string                     `json:"verb"`
	Path      string                     `json:"path"`
	Params    map[string]json.RawMessage `json:"params"`
	Headers   map[string]json.RawMessage `json:"headers"`
	BodyHash  string                     `json:"body_hash"`
}

// signedBody is the body of both calls; services spell its key in three ways.
type signedBody struct {
	_              struct{}       `check:"open,nonempty"`
	Credentials    *signedRequest `json:"credentials"`
	Credential     *signedRequest `json:"credential"`
	EC2Credentials *signedRequest `json:"ec2Credentials"`
}

func (b signedBody) request() (signedRequest, error) {
	for _, r := range []*signedRequest{b.Credentials, b.Credential, b.EC2Credentials} {
		if r != nil && r.Access != "" {
			return *r, nil
		}
	}
	return signedRequest{}, errs.Unauthorizedf("EC2 Signature not supplied")
}

func words(values map[string]json.RawMessage, spell func(string) string) map[string]string {
	out := make(map[string]string, len(values))
	for name, raw := range values {
		var word string
		err := json.Unmarshal(raw, &word)
		if err != nil {
			word = string(raw)
		}
		out[spell(name)] = word
	}
	return out
}

func (h handlers) ec2Token(c *api.Call, in signedBody) (tokenReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return tokenReply{}, err
	}
	r, err := in.request()
	if err != nil {
		return tokenReply{}, err
	}
	issued, err := h.identity.EC2Authenticate(c.Context(), identity.SignedRequest{
		Access: r.Access, Signature: r.Signature, Host: r.Host, Verb: r.Verb, Path: r.Path, BodyHash: r.BodyHash,
		Params: words(r.Params, strings.Clone), Headers: words(r.Headers, strings.ToLower),
	})
	if err != nil {
		return tokenReply{}, err
	}
	return h.viewToken(c, issued)
}

// s3Token tells a service who has signed. It gets no token that it could use.
func (h handlers) s3Token(c *api.Call, in signedBody) (tokenReply, error) {
	err := c.Authorize(auth.Target{})
	if err != nil {
		return tokenReply{}, err
	}
	r, err := in.request()
	if err != nil {
		return tokenReply{}, err
	}
	signed, err := base64.URLEncoding.DecodeString(r.Token)
	if err != nil {
		return tokenReply{}, errs.BadRequestf("Invalid input for field 'token': it is not base64.").Because(err)
	}
	issued, err := h.identity.S3Authenticate(c.Context(), r.Access, signed, r.Signature)
	if err != nil {
		return tokenReply{}, err
	}
	return h.describeToken(c, issued)
}
