package app_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nacre/internal/app"
	"nacre/internal/await"
	"nacre/internal/db/dbtest"
	"nacre/internal/testcloud"
)

// issuer is an authority of users' certificates.
type issuer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newIssuer(t *testing.T, name string) issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issuer{certificate, key}
}

func (i issuer) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.certificate.Raw})
}

// userID is the attribute UID of distinguished names.
var userID = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}

// sign makes a certificate for a user. Expired ones have ended already.
func (i issuer) sign(t *testing.T, id, name string, life time.Duration) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	subject := pkix.Name{CommonName: name, ExtraNames: []pkix.AttributeTypeAndValue{{Type: userID, Value: id}}}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life)}
	der, err := x509.CreateCertificate(rand.Reader, template, i.certificate, &key.PublicKey, i.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// tlsCloud is a cloud behind its own listener with TLS.
type tlsCloud struct {
	url, dir string
	roots    *x509.CertPool
}

func startTLS(t *testing.T, config app.Config) *tlsCloud {
	t.Helper()
	_, port, err := net.SplitHostPort(testcloud.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	c := &tlsCloud{url: "https://127.0.0.1:" + port, dir: t.TempDir(), roots: x509.NewCertPool()}
	config.DataDir, config.DB, config.Hosts, config.LogLevel = c.dir, dbtest.SourceIn(t, c.dir), 1, "error"
	config.Listen, config.PublicURL = "0.0.0.0:"+port, c.url
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx, config) }()
	t.Cleanup(func() {
		stop()
		err := <-ended
		if err != nil {
			t.Errorf("the cloud ended: %v", err)
		}
	})
	await.Until(t, "the cloud to be ready", time.Minute, func() bool {
		authority, err := os.ReadFile(filepath.Join(c.dir, "ca.pem"))
		return err == nil && c.roots.AppendCertsFromPEM(authority) && c.try(nil, "GET", "/healthz", nil, "") == nil
	})
	return c
}

// client shows a certificate, if there is one.
func (c *tlsCloud) client(certificate *tls.Certificate) *http.Client {
	config := &tls.Config{RootCAs: c.roots}
	if certificate != nil {
		// Not Certificates: those are held back when the server wants others.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

func (c *tlsCloud) try(certificate *tls.Certificate, method, path string, headers map[string]string, body string) error {
	_, _, err := c.send(certificate, method, path, headers, body)
	return err
}

func (c *tlsCloud) send(certificate *tls.Certificate, method, path string, headers map[string]string, body string) (int, []byte, error) {
	r, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	for key, value := range headers {
		r.Header.Set(key, value)
	}
	reply, err := c.client(certificate).Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	return reply.StatusCode, text, err
}

// own asks as the cloud's administrator.
func (c *tlsCloud) own(t *testing.T, method, path string, request, reply any) {
	t.Helper()
	err := app.AskOwn(t.Context(), c.dir, method, path, request, reply)
	if err != nil {
		t.Fatal(err)
	}
}

// grant asks for a token by a certificate.
func (c *tlsCloud) grant(certificate *tls.Certificate, client string) (status int, token string, err error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {client}}
	status, body, err := c.send(certificate, "POST", "/v3/OS-OAUTH2/token", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, form.Encode())
	var reply struct {
		AccessToken string `json:"access_token"`
	}
	_ = json.Unmarshal(body, &reply) // a refusal has none
	return status, reply.AccessToken, err
}

// mappingOfCertificates is for certificates with the user's id and name.
var mappingOfCertificates = map[string]any{"mapping": map[string]any{"rules": []any{map[string]any{
	"local": []any{map[string]any{"user": map[string]any{"id": "{0}", "name": "{1}"}}},
	"remote": []any{map[string]any{"type": "SSL_CLIENT_SUBJECT_DN_UID"}, map[string]any{"type": "SSL_CLIENT_SUBJECT_DN_CN"},
		map[string]any{"type": "SSL_CLIENT_ISSUER_DN_CN", "any_one_of": []string{"users"}}},
}}}}

// A user with a certificate gets a token that every service takes from whoever shows
// that certificate, and from nobody else.
func TestTokensBoundToCertificates(t *testing.T) {
	t.Parallel()
	users, strangers, others := newIssuer(t, "users"), newIssuer(t, "users"), newIssuer(t, "others")
	file := filepath.Join(t.TempDir(), "clients.pem")
	err := os.WriteFile(file, bytes.Join([][]byte{users.pem(), others.pem()}, nil), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	c := startTLS(t, app.Config{OAuth2: app.OAuth2{ClientCAFile: file}})
	var found struct{ Users []struct{ ID, Name string } }
	c.own(t, "GET", "/v3/users?name=demo", nil, &found)
	demo := found.Users[0].ID
	c.own(t, "GET", "/v3/users?name=admin", nil, &found)
	admin := found.Users[0].ID
	c.own(t, "PUT", "/v3/OS-FEDERATION/mappings/oauth2_mapping", mappingOfCertificates, nil)
	var projects struct{ Projects []struct{ ID string } }
	c.own(t, "GET", "/v3/projects?name=demo", nil, &projects)
	c.own(t, "PATCH", "/v3/users/"+demo, map[string]any{"user": map[string]any{"default_project_id": projects.Projects[0].ID}}, nil)

	mine := users.sign(t, demo, "demo", time.Hour)
	second := users.sign(t, demo, "demo", time.Hour)
	status, token, err := c.grant(&mine, demo)
	if err != nil || status != 200 {
		t.Fatalf("by the certificate: got %d, %v", status, err)
	}
	for _, path := range []string{"/identity/v3/auth/projects", "/image/v2/images", "/compute/v2.1/servers", "/volume/v3/volumes", "/network/v2.0/networks",
		"/v1/AUTH_" + projects.Projects[0].ID, "/nacre/v1/plans", "/placement/resource_providers"} {
		for _, headers := range []map[string]string{{"X-Auth-Token": token}, {"Authorization": "Bearer " + token}} {
			status, body, err := c.send(&mine, "GET", path, headers, "")
			if err != nil || status != 200 && status != 204 && !strings.HasPrefix(path, "/placement") || status == 401 {
				t.Errorf("%s with the certificate: got %d %s, %v", path, status, body, err)
			}
			for name, shown := range map[string]*tls.Certificate{"no certificate": nil, "another one of the user's": &second} {
				status, body, err := c.send(shown, "GET", path, headers, "")
				if err != nil || status != 401 {
					t.Errorf("%s with %s: got %d %s, %v, want 401", path, name, status, body, err)
				}
			}
		}
	}
	forged := map[string]string{"X-Auth-Token": token, "SSL_CLIENT_CERT": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: mine.Certificate[0]}))}
	forged["X-SSL-Client-Cert"] = url.QueryEscape(forged["SSL_CLIENT_CERT"])
	delete(forged, "SSL_CLIENT_CERT")
	status, body, err := c.send(nil, "GET", "/compute/v2.1/servers", forged, "")
	if err != nil || status != 401 {
		t.Errorf("the certificate in a header: got %d %s, %v, want 401", status, body, err)
	}

	// What the token says of itself, and that no other token can be made of it.
	var shown struct {
		Token struct {
			Methods    []string
			Credential map[string]string `json:"oauth2_credential"`
			Project    struct{ Name string }
		}
	}
	status, body, err = c.send(&mine, "GET", "/v3/auth/tokens", map[string]string{"X-Auth-Token": token, "X-Subject-Token": token}, "")
	if err != nil || status != 200 || json.Unmarshal(body, &shown) != nil {
		t.Fatalf("the token: got %d %s, %v", status, body, err)
	}
	sum := sha256.Sum256(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: mine.Certificate[0]}))
	if shown.Token.Credential["x5t#S256"] != base64.URLEncoding.EncodeToString(sum[:]) || strings.Join(shown.Token.Methods, " ") != "oauth2_credential" || shown.Token.Project.Name != "demo" {
		t.Errorf("the token is %s", body)
	}
	rescope := `{"auth":{"identity":{"methods":["token"],"token":{"id":"` + token + `"}}}}`
	for _, shown := range []*tls.Certificate{nil, &mine} {
		status, body, err = c.send(shown, "POST", "/v3/auth/tokens", map[string]string{"Content-Type": "application/json"}, rescope)
		if err != nil || status != 403 {
			t.Errorf("another token of it: got %d %s, %v, want 403", status, body, err)
		}
	}

	// Who is refused.
	wrongName, another, expired := users.sign(t, demo, "admin", time.Hour), others.sign(t, demo, "demo", time.Hour), users.sign(t, demo, "demo", -time.Minute)
	strange, noProject := strangers.sign(t, demo, "demo", time.Hour), users.sign(t, admin, "admin", time.Hour)
	c.own(t, "PATCH", "/v3/users/"+admin, map[string]any{"user": map[string]any{"default_project_id": nil}}, nil)
	for _, try := range []struct {
		name        string
		certificate *tls.Certificate
		client      string
	}{
		{"no certificate", nil, demo}, {"somebody else", &mine, admin}, {"nobody", &mine, "ghost"}, {"no client", &mine, ""}, {"another name", &wrongName, demo},
		{"an authority that the mapping does not name", &another, demo}, {"a user without a project", &noProject, admin},
	} {
		status, token, err := c.grant(try.certificate, try.client)
		if err != nil || status != 401 || token != "" {
			t.Errorf("%s: got %d %s, %v, want 401", try.name, status, token, err)
		}
	}
	for name, certificate := range map[string]*tls.Certificate{"an authority of the same name that nobody trusts": &strange, "a certificate that has expired": &expired} {
		status, _, err := c.grant(certificate, demo)
		if err == nil {
			t.Errorf("%s: got %d, want that the connection is refused", name, status)
		}
	}
	// A user's certificate is no node's, whatever stands in it.
	node := users.sign(t, demo, "node-1", time.Hour)
	for _, path := range []string{"/nacre/cluster/renew", "/nacre/cluster/stream", "/nacre/cluster/tunnel?host=node-1"} {
		status, body, err := c.send(&node, "POST", path, nil, "{}")
		if err != nil || status != 403 {
			t.Errorf("%s: got %d %s, %v, want 403", path, status, body, err)
		}
	}
	// The token ends with its user.
	c.own(t, "PATCH", "/v3/users/"+demo, map[string]any{"user": map[string]any{"enabled": false}}, nil)
	status, body, err = c.send(&mine, "GET", "/compute/v2.1/servers", map[string]string{"X-Auth-Token": token}, "")
	if err != nil || status != 401 {
		t.Errorf("after the user was disabled: got %d %s, %v, want 401", status, body, err)
	}
	status, _, err = c.grant(&mine, demo)
	if err != nil || status != 401 {
		t.Errorf("a disabled user: got %d, %v, want 401", status, err)
	}
}
