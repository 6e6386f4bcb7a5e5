package soak

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"nacre/internal/app"
	"nacre/internal/await"
)

// ReadSecrets reads the passwords from what a cloud wrote for its clients.
func ReadSecrets(dataDir string) (s app.Secrets, err error) {
	content, err := os.ReadFile(filepath.Join(dataDir, "clouds.yaml"))
	if err != nil {
		return s, err
	}
	var file struct {
		Clouds map[string]struct{ Auth struct{ Password string } }
	}
	err = yaml.Unmarshal(content, &file)
	return app.Secrets{Admin: file.Clouds["nacre"].Auth.Password, Demo: file.Clouds["nacre-demo"].Auth.Password}, err
}

// patience is how long a client waits for an answer.
const patience = 10 * time.Second

// Client asks a cloud whose servers may die at any moment. It goes to the next
// server when one does not answer.
type Client struct {
	urls       []string
	user, pass string
	http       http.Client

	mu    sync.Mutex // guards token and at
	token string
	at    int // which of the servers it asks
}

// NewClient makes a client. A certificate authority is what the servers' listeners
// are signed by; "" for a cloud on loopback that has none.
func NewClient(t testing.TB, authority, user, pass string, urls ...string) *Client {
	t.Helper()
	c := &Client{urls: urls, user: user, pass: pass}
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	if authority != "" {
		content, err := os.ReadFile(authority)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(content)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	c.http = http.Client{Timeout: patience, Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	return c
}

// server is the one that the client asks now.
func (c *Client) server() (url string, at int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.urls[c.at], c.at
}

// next goes on to another server, if the client is still at the one that failed.
func (c *Client) next(failed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == failed {
		c.at = (c.at + 1) % len(c.urls)
	}
}

// What becomes of a question that was not answered: nobody knows whether it had
// an effect, or it cannot have had one.
var (
	errNoAnswer = errors.New("no answer")
	errNotAsked = errors.New("nobody to ask")
)

// Do asks with a JSON body, or with bytes as they are. It returns errNoAnswer when
// the server died before it answered, or could not reach what it stands on (503).
func (c *Client) Do(method, path string, body any) (status int, reply []byte, err error) {
	url, at := c.server()
	token, err := c.signIn(url)
	if errors.Is(err, errNoAnswer) {
		err = errNotAsked
	}
	if err == nil {
		status, reply, err = c.ask(method, url+path, token, body)
	}
	if errors.Is(err, errNoAnswer) || errors.Is(err, errNotAsked) {
		c.next(at)
	}
	return status, reply, err
}

func (c *Client) ask(method, url, token string, body any) (int, []byte, error) {
	text, raw := body.([]byte)
	if !raw {
		var err error
		text, err = json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
	}
	r, err := http.NewRequest(method, url, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("X-Auth-Token", token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("OpenStack-API-Version", "compute 2.96, volume 3.70")
	reply, err := c.http.Do(r)
	var network *net.OpError
	if errors.As(err, &network) && network.Op == "dial" {
		return 0, nil, errNotAsked
	}
	if err != nil {
		return 0, nil, errNoAnswer
	}
	defer reply.Body.Close()
	text, err = io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode == http.StatusServiceUnavailable {
		return 0, nil, errNoAnswer
	}
	return reply.StatusCode, text, nil
}

// forget has the client sign in again before it asks for the next time.
func (c *Client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = ""
}

func (c *Client) signIn(url string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != "" {
		return c.token, nil
	}
	body := fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"password":%q,"domain":{"id":"default"}}}},
		"scope":{"project":{"name":%q,"domain":{"id":"default"}}}}}`, c.user, c.pass, c.user)
	reply, err := c.http.Post(url+"/v3/auth/tokens", "application/json", strings.NewReader(body))
	if err != nil {
		return "", errNoAnswer
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	switch {
	case err != nil || reply.StatusCode == http.StatusServiceUnavailable:
		return "", errNoAnswer
	case reply.StatusCode != http.StatusCreated:
		return "", fmt.Errorf("sign in: %s %s", reply.Status, text)
	}
	c.token = reply.Header.Get("X-Subject-Token")
	return c.token, nil
}

// Must asks for something that has to work, and reads the answer.
func (c *Client) Must(t testing.TB, method, path string, body any, want int, into any) {
	t.Helper()
	status, reply, err := c.Do(method, path, body)
	if err != nil || status != want {
		t.Fatalf("%s %s: %d %s %v, want %d", method, path, status, reply, err, want)
	}
	if into == nil {
		return
	}
	err = json.Unmarshal(reply, into)
	if err != nil {
		t.Fatalf("%s %s: %v in %s", method, path, err, reply)
	}
}

// Insecure is for questions whose answers are not secret: is a server there.
func Insecure() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
}

// List reads a listing, from whichever server answers first.
func (c *Client) List(t testing.TB, path, key string, into any) {
	t.Helper()
	var status int
	var body []byte
	await.Until(t, "an answer to GET "+path, time.Minute, func() bool {
		var err error
		status, body, err = c.Do("GET", path, nil)
		return err == nil
	})
	if status != 200 {
		t.Fatalf("GET %s: %d %s", path, status, body)
	}
	var all map[string]json.RawMessage
	err := json.Unmarshal(body, &all)
	if err == nil {
		err = json.Unmarshal(all[key], into)
	}
	if err != nil {
		t.Fatalf("GET %s: %v in %s", path, err, body)
	}
}
