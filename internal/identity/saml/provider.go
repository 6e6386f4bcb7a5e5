package saml

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/crewjam/saml"
)

// Settings say how to hear a provider.
type Settings struct {
	IDP      string `json:"identity_provider"` // ids of the provider and its protocol in OS-FEDERATION
	Protocol string `json:"protocol"`          // "" is saml2
	Name     string `json:"name"`              // for people who sign in; "" is the provider's id
	// MetadataFile describes the provider. It is read again when it changes.
	MetadataFile string `json:"metadata_file"`
}

// Provider is an identity provider as its metadata describes it.
type Provider struct {
	EntityID     string
	Certificates []*x509.Certificate // of the keys that sign what it says
	SignOn       string              // where browsers are sent; "" for none
}

// ReadProvider reads the metadata of a provider. It comes from an administrator,
// who has made sure that it is the provider's.
func ReadProvider(metadata []byte) (Provider, error) {
	var entity saml.EntityDescriptor
	err := xml.Unmarshal(metadata, &entity)
	if err != nil {
		return Provider{}, fmt.Errorf("read SAML metadata: %w", err)
	}
	p := Provider{EntityID: entity.EntityID}
	for _, sso := range entity.IDPSSODescriptors {
		if sso.WantAuthnRequestsSigned != nil && *sso.WantAuthnRequestsSigned {
			return p, errors.New("read SAML metadata: the provider wants signed requests, and ours are not")
		}
		for _, k := range sso.KeyDescriptors {
			if k.Use != "" && k.Use != "signing" {
				continue
			}
			for _, c := range k.KeyInfo.X509Data.X509Certificates {
				der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(c.Data), ""))
				if err != nil {
					return p, fmt.Errorf("read certificate of SAML metadata: %w", err)
				}
				certificate, err := x509.ParseCertificate(der)
				if err != nil {
					return p, fmt.Errorf("read certificate of SAML metadata: %w", err)
				}
				p.Certificates = append(p.Certificates, certificate)
			}
		}
		for _, s := range sso.SingleSignOnServices {
			if s.Binding == saml.HTTPRedirectBinding && p.SignOn == "" {
				p.SignOn = s.Location
			}
		}
	}
	switch {
	case p.EntityID == "":
		return p, errors.New("read SAML metadata: it names no entity")
	case len(p.Certificates) == 0:
		return p, errors.New("read SAML metadata: it has no key that signs")
	case p.SignOn != "":
		err = safe(p.SignOn)
	}
	return p, err
}

// safe refuses to send browsers where others could listen.
func safe(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("read SAML metadata: %w", err)
	}
	host, err := netip.ParseAddr(u.Hostname())
	loopback := u.Hostname() == "localhost" || err == nil && host.IsLoopback()
	if u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return fmt.Errorf("read SAML metadata: %s is not https", address)
	}
	return nil
}

// Party is a provider that is set up.
type Party struct {
	Settings

	mu       sync.Mutex // guards what is below
	provider Provider
	read     time.Time // when the file had changed that was read
}

// Parties are the providers that are set up.
type Parties []*Party

// Open sets up providers.
func Open(settings []Settings) (Parties, error) {
	var out Parties
	for _, s := range settings {
		if s.Protocol == "" {
			s.Protocol = "saml2"
		}
		if s.Name == "" {
			s.Name = s.IDP
		}
		p := &Party{Settings: s}
		if s.IDP == "" || s.MetadataFile == "" {
			return nil, fmt.Errorf("set up identity provider %q: identity_provider and metadata_file are needed", s.IDP)
		}
		if out.Find(s.IDP, s.Protocol) != nil {
			return nil, fmt.Errorf("set up identity provider %q: its protocol %s is there twice", s.IDP, s.Protocol)
		}
		_, err := p.Provider()
		if err != nil {
			return nil, fmt.Errorf("set up identity provider %q: %w", s.IDP, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// Find gives a provider's protocol, nil when it isn't set up.
func (all Parties) Find(idp, protocol string) *Party {
	for _, p := range all {
		if p.IDP == idp && p.Protocol == protocol {
			return p
		}
	}
	return nil
}

// Provider is the provider as the file describes it now. A file that is wrong
// now describes nobody: keys that were taken out of it must not count.
func (p *Party) Provider() (Provider, error) {
	info, err := os.Stat(p.MetadataFile)
	if err != nil {
		return Provider{}, fmt.Errorf("read SAML metadata: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if info.ModTime().Equal(p.read) {
		return p.provider, nil
	}
	content, err := os.ReadFile(p.MetadataFile)
	if err != nil {
		return Provider{}, fmt.Errorf("read SAML metadata: %w", err)
	}
	provider, err := ReadProvider(content)
	if err != nil {
		return Provider{}, fmt.Errorf("%s: %w", p.MetadataFile, err)
	}
	p.provider, p.read = provider, info.ModTime()
	return provider, nil
}
