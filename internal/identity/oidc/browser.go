package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Try is an attempt of a browser to sign in. It stays with the browser, sealed.
type Try struct {
	State    string
	Nonce    string
	Verifier string // of PKCE
}

// Begin says where to send a browser, which the provider sends back to redirect.
func (p *Party) Begin(ctx context.Context, redirect string) (string, Try, error) {
	f, err := p.discover(ctx)
	if err != nil {
		return "", Try{}, err
	}
	t := Try{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	return p.oauth(f, redirect).AuthCodeURL(t.State, oidc.Nonce(t.Nonce), oauth2.S256ChallengeOption(t.Verifier)), t, nil
}

// Finish finds out who a browser has come back as, by the query it was sent back
// with.
func (p *Party) Finish(ctx context.Context, redirect string, query url.Values, t Try) (Claims, error) {
	f, err := p.discover(ctx)
	if err != nil {
		return Claims{}, err
	}
	for _, values := range query {
		if len(values) != 1 {
			return Claims{}, errors.New("the provider's answer says something twice")
		}
	}
	issuer := query.Get("iss")
	switch {
	case t.State == "" || subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(t.State)) != 1:
		return Claims{}, errors.New("the answer is for another attempt")
	case issuer != "" && issuer != p.Issuer, issuer == "" && f.IssuerInReply:
		return Claims{}, errors.New("the answer is of another provider")
	case query.Get("error") != "":
		return Claims{}, fmt.Errorf("the provider refuses: %s %s", query.Get("error"), query.Get("error_description"))
	case query.Get("code") == "":
		return Claims{}, errors.New("the answer has no code")
	}
	tokens, err := p.oauth(f, redirect).Exchange(p.context(ctx), query.Get("code"), oauth2.VerifierOption(t.Verifier))
	if err != nil {
		return Claims{}, p.network("exchange code", err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return Claims{}, errors.New("the provider gives no ID token")
	}
	id, err := f.VerifierContext(p.context(ctx), &oidc.Config{ClientID: p.ClientID, Now: p.now}).Verify(p.context(ctx), raw)
	if err != nil {
		return Claims{}, err
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(t.Nonce)) != 1 {
		return Claims{}, errors.New("the ID token is for another attempt")
	}
	if id.AccessTokenHash != "" {
		err = id.VerifyAccessToken(tokens.AccessToken)
		if err != nil {
			return Claims{}, err
		}
	}
	said, err := object(id)
	if err != nil {
		return Claims{}, err
	}
	if azp, there := said["azp"]; (there || len(id.Audience) > 1) && azp != p.ClientID {
		return Claims{}, errors.New("the ID token was made for somebody else")
	}
	return p.complete(ctx, f, said, tokens.AccessToken)
}
