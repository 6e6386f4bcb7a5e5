package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"nacre/internal/api"
	"nacre/internal/console"
)

// handler is everything behind the main listener: the APIs, and beside them the
// dashboard, consoles, health and metrics.
func (cloud *Cloud) handler(dashboard *console.Dashboard, consoles *console.Consoles) http.Handler {
	apis := dashboard.WithSession(cloud.Kernel)
	metrics := promhttp.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		switch {
		case path == "/" && strings.Contains(r.Header.Get("Accept"), "text/html"):
			http.Redirect(w, r, "/dashboard", http.StatusFound)
		case path == "/healthz":
			cloud.health(w, r)
		case path == "/metrics":
			metrics.ServeHTTP(w, r)
		case path == "/dashboard" || strings.HasPrefix(path, "/dashboard/"):
			dashboard.ServeHTTP(w, r)
		case strings.HasPrefix(path, "/nacre/cluster/"):
			cloud.Cluster.ServeHTTP(w, r)
		case strings.HasPrefix(path, "/console/"):
			consoles.ServeHTTP(w, r)
		default:
			apis.ServeHTTP(w, r)
		}
	})
}

// health answers 200 when the cloud can serve.
func (cloud *Cloud) health(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := cloud.Hosts.List(r.Context())
	if err != nil {
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// server limits how long a client may take to send a request and to read the
// reply. The kernel lifts both for streams, a WebSocket leaves them behind.
func server(ctx context.Context, handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 30 * time.Second,
		ReadTimeout:       90 * time.Second,
		WriteTimeout:      3 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
}

// Services lists all APIs, on whichever listener.
func (cloud *Cloud) Services() []*api.Service {
	return append(cloud.Kernel.Services(), cloud.S3.Services()...)
}

// listen opens a listener, with TLS wherever it isn't loopback.
func (cloud *Cloud) listen(address string) (net.Listener, error) {
	c := cloud.Config
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if !c.tls() {
		return listener, nil
	}
	return tls.NewListener(listener, cloud.Cluster.ListenerTLS()), nil
}
