package fetch_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nacre/internal/errs"
	"nacre/internal/fetch"
)

// server answers /ok, and leads from /to?URL to the URL.
func server(t *testing.T) (url, address string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			fmt.Fprint(w, "bytes")
		case "/to":
			http.Redirect(w, r, r.URL.RawQuery, http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/endless":
			for r.Context().Err() == nil {
				_, err := w.Write(make([]byte, 1<<16))
				if err != nil {
					return
				}
			}
		case "/cut":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "too short")
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, strings.TrimPrefix(s.URL, "http://")
}

func get(t *testing.T, c *fetch.Client, url string) (string, error) {
	t.Helper()
	r, err := c.Get(t.Context(), url, 1<<20)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestAddressesThatAreNotPublic(t *testing.T) {
	_, address := server(t)
	port := address[strings.LastIndex(address, ":"):]
	c := fetch.New(fetch.Options{})
	for _, host := range []string{
		"127.0.0.1", "127.1", "0.0.0.0", "localhost", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
		"10.0.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "198.18.0.1", "255.255.255.255", "224.0.0.1",
		"[fe80::1]", "[fd00::1]", "[ff02::1]", "[fec0::1]",
	} {
		_, err := get(t, c, "http://"+host+port+"/ok")
		if !errs.Is(err, errs.BadRequest) {
			t.Errorf("%s: got %v, want a refusal", host, err)
		}
		if err != nil && host != "127.1" && !strings.Contains(err.Error(), "not public") {
			t.Errorf("%s: got %v, want a refusal for the address", host, err)
		}
	}
}

func TestWhatIsExempt(t *testing.T) {
	url, address := server(t)
	for name, o := range map[string]fetch.Options{
		"own endpoint": {Own: []string{address}}, "opened network": {Open: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	} {
		got, err := get(t, fetch.New(o), url+"/ok")
		if got != "bytes" || err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	_, otherAddress := server(t)
	_, err := get(t, fetch.New(fetch.Options{Own: []string{otherAddress}}), url+"/ok")
	if err == nil {
		t.Error("another port of this machine was fetched from")
	}
}

// Each hop of a redirect is looked at like the first.
func TestRedirects(t *testing.T) {
	first, address := server(t)
	second, _ := server(t)
	c := fetch.New(fetch.Options{Own: []string{address}})
	for target, want := range map[string]string{
		first + "/ok": "", second + "/ok": "not public", "file:///etc/passwd": "only http", "gopher://" + address: "only http",
		"http://user:secret@" + address + "/ok": "credentials",
	} {
		_, err := get(t, c, first+"/to?"+target)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("to %s: got %v, want %q", target, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("to %s: the error tells the password: %v", target, err)
		}
	}
	_, err := get(t, c, first+"/loop")
	if err == nil || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("a loop: got %v", err)
	}
}

func TestLimits(t *testing.T) {
	url, address := server(t)
	c := fetch.New(fetch.Options{Own: []string{address}})
	_, err := get(t, c, url+"/endless")
	if !errs.Is(err, errs.TooLarge) {
		t.Errorf("an endless reply: got %v, want too large", err)
	}
	_, err = get(t, c, url+"/missing")
	if !errs.Is(err, errs.BadRequest) || !strings.Contains(err.Error(), "404") {
		t.Errorf("a missing page: got %v", err)
	}
	_, err = get(t, c, url+"/cut")
	if !errs.Is(err, errs.BadRequest) {
		t.Errorf("a cut reply: got %v, want it classified", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Get(ended, url+"/ok", 10)
	_, classified := errs.As(err)
	if !errors.Is(err, context.Canceled) || classified {
		t.Errorf("our own end: got %v, want it unclassified", err)
	}
}

func TestCheck(t *testing.T) {
	for text, ok := range map[string]bool{
		"http://example.org/x.img": true, "https://example.org:8443/x": true, "HTTPS://example.org": true,
		"ftp://example.org": false, "example.org": false, "": false, "http://": false, "http:///x": false, "http://a:b@example.org": false, "http://%zz": false,
	} {
		if (fetch.Check(text) == nil) != ok {
			t.Errorf("%q: got %v, want ok %t", text, fetch.Check(text), ok)
		}
	}
}

// The cloud's own certificates are trusted, at its own endpoints alone.
func TestOwnAuthority(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "bytes") }))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	file := filepath.Join(t.TempDir(), "ca.pem")
	err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	own := fetch.New(fetch.Options{Own: []string{strings.TrimPrefix(s.URL, "https://")}, CAFile: file})
	got, err := get(t, own, s.URL)
	if got != "bytes" || err != nil {
		t.Errorf("own endpoint: got %q, %v", got, err)
	}
	other := fetch.New(fetch.Options{Open: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, CAFile: file})
	_, err = get(t, other, s.URL)
	if !errs.Is(err, errs.BadRequest) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("another endpoint: got %v, want its certificate refused", err)
	}
}
