package qmp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"nacre/internal/qmp"
)

// serve plays QEMU for one client: answer gets each command.
func serve(t *testing.T, answer func(conn net.Conn, command string, id int64)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "q")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintln(conn, `{"QMP": {"version": {}, "capabilities": []}}`)
		in := bufio.NewScanner(conn)
		for in.Scan() {
			var m struct {
				Execute string
				ID      int64
			}
			err := json.Unmarshal(in.Bytes(), &m)
			if err != nil {
				t.Errorf("client sent %q", in.Bytes())
				return
			}
			if m.Execute == "qmp_capabilities" {
				fmt.Fprintf(conn, `{"return": {}, "id": %d}`+"\n", m.ID)
				continue
			}
			answer(conn, m.Execute, m.ID)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return path
}

func dial(t *testing.T, path string, onEvent func(qmp.Event)) *qmp.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := qmp.Dial(ctx, path, onEvent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestExecute(t *testing.T) {
	path := serve(t, func(conn net.Conn, command string, id int64) {
		switch command {
		case "query-status":
			fmt.Fprintln(conn, `{"event": "RESUME", "data": {}}`)
			fmt.Fprintf(conn, `{"return": {"status": "running"}, "id": %d}`+"\n", id)
		case "device_del":
			fmt.Fprintf(conn, `{"error": {"class": "DeviceNotFound", "desc": "Device 'x' not found"}, "id": %d}`+"\n", id)
		}
	})
	events := make(chan qmp.Event, 1)
	c := dial(t, path, func(e qmp.Event) { events <- e })
	wait := c.Expect(func(e qmp.Event) bool { return e.Name == "RESUME" })
	var got struct{ Status string }
	err := c.Execute(t.Context(), "query-status", nil, &got)
	if err != nil || got.Status != "running" {
		t.Errorf("query-status gave %+v, %v", got, err)
	}
	e, err := wait(t.Context())
	if err != nil || e.Name != "RESUME" {
		t.Errorf("expected event is %+v, %v", e, err)
	}
	if e := <-events; e.Name != "RESUME" {
		t.Errorf("event function got %+v", e)
	}
	err = c.Execute(t.Context(), "device_del", map[string]string{"id": "x"}, nil)
	if !qmp.IsClass(err, "DeviceNotFound") || !qmp.Says(err, "'x' not found") {
		t.Errorf("refusal is %v", err)
	}
	// An unanswered command ends with its context, and the next one works.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = c.Execute(ctx, "silence", nil, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("unanswered command gave %v", err)
	}
	err = c.Execute(t.Context(), "query-status", nil, nil)
	if err != nil {
		t.Errorf("command after an unanswered one: %v", err)
	}
}

func TestEnd(t *testing.T) {
	path := serve(t, func(conn net.Conn, _ string, _ int64) { conn.Close() })
	c := dial(t, path, nil)
	wait := c.Expect(func(qmp.Event) bool { return true })
	err := c.Execute(t.Context(), "quit", nil, nil)
	if !errors.Is(err, qmp.ErrClosed) {
		t.Errorf("command at the end gave %v, want ErrClosed", err)
	}
	<-c.Done()
	err = c.Execute(t.Context(), "quit", nil, nil)
	if !errors.Is(err, qmp.ErrClosed) {
		t.Errorf("command after the end gave %v, want ErrClosed", err)
	}
	_, err = wait(t.Context())
	if !errors.Is(err, qmp.ErrClosed) {
		t.Errorf("waiting after the end gave %v, want ErrClosed", err)
	}
}

// TestBusy: while another client is served, QEMU does not greet.
func TestBusy(t *testing.T) {
	path := serve(t, func(net.Conn, string, int64) {})
	dial(t, path, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := qmp.Dial(ctx, path, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second client got %v, want to wait until its deadline", err)
	}
}
