package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// requestTimeout bounds one question to a cloud.
const requestTimeout = 10 * time.Second

// startTime bounds how long a cloud may take to become ready.
const startTime = 2 * time.Minute

// health asks a cloud whether it is ready.
type health struct {
	url    string
	client *http.Client
	config Config
}

// trust reads the cloud's CA once it is there.
func (h *health) trust() {
	if !h.config.tls() || h.client.Transport != nil {
		return
	}
	ca, err := os.ReadFile(filepath.Join(h.config.DataDir, caFile))
	if err != nil {
		return
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	h.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
}

// wait asks until the cloud answers, the process has ended, or it takes too long.
func (h *health) wait(ctx context.Context, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		h.trust()
		request, err := http.NewRequestWithContext(ctx, "GET", h.url, nil)
		if err != nil {
			return err
		}
		reply, err := h.client.Do(request)
		if err == nil {
			reply.Body.Close()
			if reply.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the cloud ended before it was ready: %v", err)
		case <-ctx.Done():
			return fmt.Errorf("the cloud is not ready after %s: %w", startTime, ctx.Err())
		case <-tick.C:
		}
	}
}
