package testcloud

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"slices"
	"sync"
)

// Errors are the errors that the cloud has logged.
func (c *Cloud) Errors() []string { return c.errors.list() }

// recorder is a log that keeps errors, and writes everything to standard error
// when NACRE_TEST_LOG is set.
type recorder struct {
	mu      sync.Mutex // guards what follows
	lines   []string
	secrets []string
}

func (r *recorder) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// Write keeps a line that the text handler has made of an error.
func (r *recorder) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, string(line))
	return len(line), nil
}

// hide has the log watched for a secret.
func (r *recorder) hide(secret string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if secret != "" && !slices.Contains(r.secrets, secret) {
		r.secrets = append(r.secrets, secret)
	}
}

// tokenBegin is what every token of this cloud begins with.
const tokenBegin = "gAAAAA"

// watch is the whole log, down to the least of it: whatever a test does, no token
// and no password it is done with may be there.
type watch struct{ *recorder }

// Write looks at a line that the text handler has made.
func (w watch) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	leaks := bytes.Contains(line, []byte(tokenBegin)) ||
		slices.ContainsFunc(w.secrets, func(secret string) bool { return bytes.Contains(line, []byte(secret)) })
	if leaks {
		w.lines = append(w.lines, "a secret: "+string(line))
	}
	return len(line), nil
}

// logTo makes the log of a cloud, which others may read, too.
func logTo(r *recorder, others ...slog.Handler) *slog.Logger {
	all := both{
		slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelError}),
		slog.NewTextHandler(watch{r}, &slog.HandlerOptions{Level: slog.LevelDebug}),
	}
	all = append(all, others...)
	if os.Getenv("NACRE_TEST_LOG") != "" {
		all = append(all, slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(all)
}

// both is several logs in one.
type both []slog.Handler

func (b both) Enabled(context.Context, slog.Level) bool { return true }

func (b both) Handle(ctx context.Context, record slog.Record) error {
	for _, h := range b {
		if h.Enabled(ctx, record.Level) {
			err := h.Handle(ctx, record.Clone())
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (b both) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := make(both, len(b))
	for i, h := range b {
		out[i] = h.WithAttrs(attrs)
	}
	return out
}

func (b both) WithGroup(name string) slog.Handler {
	out := make(both, len(b))
	for i, h := range b {
		out[i] = h.WithGroup(name)
	}
	return out
}
