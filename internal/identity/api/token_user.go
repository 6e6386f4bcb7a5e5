package api

import (
	"nacre/internal/api"
	"nacre/internal/identity"
)

type tokenUser struct {
	Domain            idName           `json:"domain"`
	ID                string           `json:"id"`
	Name              string           `json:"name"`
	PasswordExpiresAt *stamp           `json:"password_expires_at,omitempty"` // not of a provider's user
	Federation        *tokenFederation `json:"OS-FEDERATION,omitempty"`
}

// tokenFederation is the provider by which the token's user has signed in.
type tokenFederation struct {
	Groups   []onlyID `json:"groups"`
	IDP      onlyID   `json:"identity_provider"`
	Protocol onlyID   `json:"protocol"`
}

func viewTokenUser(i *identity.Issued) tokenUser {
	v := tokenUser{Domain: idName{i.UserDomain, i.UserDomainName}, ID: i.User, Name: i.UserName}
	if i.IDP == "" {
		expires := stamp(i.PasswordExpiresAt)
		v.PasswordExpiresAt = &expires
		return v
	}
	v.Federation = &tokenFederation{Groups: []onlyID{}, IDP: onlyID{i.IDP}, Protocol: onlyID{i.Protocol}}
	for _, id := range i.Groups {
		v.Federation.Groups = append(v.Federation.Groups, onlyID{id})
	}
	return v
}

// holder is who bears the token of a call, with the groups that go with it.
func holder(c *api.Call) identity.Holder {
	return identity.Holder{User: c.Caller.User, IDP: c.Caller.IDP}
}
