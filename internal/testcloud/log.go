package testcloud

import (
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
	mu    sync.Mutex // guards lines
	lines []string
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

// logTo makes the log of a cloud.
func logTo(r *recorder) *slog.Logger {
	errors := slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelError})
	if os.Getenv("NACRE_TEST_LOG") == "" {
		return slog.New(errors)
	}
	return slog.New(both{errors, slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})})
}

// both is two logs in one.
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
