package vendordata_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"nacre/internal/compute/vendordata"
	"nacre/internal/errs"
)

// A service that takes the question and never answers is waited for as long as the
// settings say; so is one that is never heard.
func TestSlowTargets(t *testing.T) {
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"a":`))
		w.(http.Flusher).Flush()
		<-release
	}))
	t.Cleanup(func() { close(release); slow.Close() })
	deaf, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { deaf.Close() })
	o := vendordata.Options{
		Targets: []vendordata.Target{{Name: "slow", URL: slow.URL}, {Name: "deaf", URL: "http://" + deaf.Addr().String()}},
		Connect: 10 * time.Millisecond, Read: 10 * time.Millisecond,
	}
	got, err := vendordata.New(o).Ask(t.Context(), vendordata.Question{})
	if err != nil || string(got["slow"]) != "{}" || string(got["deaf"]) != "{}" || len(got) != 2 {
		t.Errorf("got %s, %v, want empty objects", got, err)
	}
	o.Fatal = true
	got, err = vendordata.New(o).Ask(t.Context(), vendordata.Question{})
	if !errs.Is(err, errs.Internal) {
		t.Errorf("got %s, %v, want a refusal", got, err)
	}
}
