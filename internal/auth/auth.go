// Package auth knows who is asking and decides whether they may.
//
// A Caller is what a valid token says about its bearer. A rule is one line of
// the oslo.policy language; services register theirs under OpenStack's names
// with the secure defaults, and an operator's file may override them. Policy
// evaluates a rule for a caller and a target in memory, without a query. What
// is not allowed is forbidden, also when the rule is unknown or cannot be read.
package auth

import (
	"slices"
	"time"
)

// Caller is the bearer of a token. The zero value is nobody.
type Caller struct {
	Token     string // as presented; empty for nobody
	ExpiresAt time.Time

	User           string // ids
	UserName       string
	UserDomain     string
	UserDomainName string

	// At most one scope is set: a project, a domain or the system.
	Project           string
	ProjectName       string
	ProjectDomain     string
	ProjectDomainName string
	Domain            string
	DomainName        string
	System            bool

	Roles   []string // names, implied ones included
	Methods []string

	IDP      string // identity provider that the caller has signed in by, "" for none
	Protocol string

	// How the caller came to act for the user, if not by the user's own proof of
	// identity. Such a caller stays within the project it was given.
	AppCredential string // id
	Unrestricted  bool   // the application credential may make others
	Trust         string // id
	Trustor       string // ids of users; which of them User is depends on the trust
	Trustee       string
	AccessToken   string // id, of OAuth 1
	Thumbprint    string // of the certificate that the token is bound to, "" for none
	// AccessRules are all that an application credential is good for; none: for
	// whatever its roles allow.
	AccessRules []AccessRule
}

// EC2Method is how a token says that it was got by an access key.
const EC2Method = "ec2credential"

// ByAccessKey tells whether the token was got by an access key. A service that
// was asked by a signed request acts with it; who may do what is none of its
// business.
func (c Caller) ByAccessKey() bool { return slices.Contains(c.Methods, EC2Method) }

// Delegated tells whether the caller acts by what somebody has delegated.
func (c Caller) Delegated() bool {
	return c.AppCredential != "" || c.Trust != "" || c.AccessToken != ""
}

// Has tells whether the caller has the role in the token's scope.
func (c Caller) Has(role string) bool { return slices.Contains(c.Roles, role) }

// Admin tells whether the caller has the role admin, in whatever scope.
func (c Caller) Admin() bool { return c.Has("admin") }

// Target is what a call is about. Rules read it as %(project_id)s and so on.
type Target struct {
	Project string            // %(project_id)s, %(tenant_id)s
	User    string            // %(user_id)s
	Domain  string            // %(domain_id)s
	Attrs   map[string]string // everything else, such as target.user.domain_id
}

// Rule is a policy rule as a service registers it.
type Rule struct {
	Name  string // as OpenStack spells it: os_compute_api:servers:create
	Check string // default, in the oslo.policy language
}
