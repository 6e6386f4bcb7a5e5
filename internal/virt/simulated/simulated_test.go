package simulated_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/virt"
	"nacre/internal/virt/simulated"
	"nacre/internal/virt/virttest"
)

func TestSuite(t *testing.T) {
	virttest.Run(t, func(t *testing.T) virttest.Rig {
		options := simulated.Options{Dir: t.TempDir()}
		host := open(t, options)
		return virttest.Rig{
			Host: host,
			Reopen: func(t *testing.T) virt.Host {
				host = open(t, options)
				return host
			},
			Image: "an image", MemoryMB: 128, Patience: 10 * time.Second,
			BootMark: "Linux version", Ready: "login:",
			Disk: func(t *testing.T, id string) virt.Disk {
				return virt.Disk{ID: id, Socket: "/nowhere", Export: id, Device: "/dev/vdb"}
			},
			NIC: func(t *testing.T, id string) virt.NIC {
				return virt.NIC{ID: id, MAC: "fa:16:3e:00:00:01", Tap: "tap0", MTU: 1442}
			},
			Run: func(t *testing.T, id string) string { return fmt.Sprint(host.Run(id)) },
			PowerOff: func(t *testing.T, id string) {
				err := host.PowerOff(id)
				if err != nil {
					t.Fatal(err)
				}
			},
			Crash: func(t *testing.T, id string) {
				err := host.Crash(id)
				if err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

func open(t *testing.T, o simulated.Options) *simulated.Host {
	t.Helper()
	h, err := simulated.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func running(name string) virt.Machine {
	return virt.Machine{ID: clock.UUID(), Name: name, VCPUs: 1, MemoryMB: 64, Running: true, Root: &virt.Root{Image: "i"}}
}

func TestFailures(t *testing.T) {
	h := open(t, simulated.Options{})
	m := running("web")
	first, second := errors.New("first"), errors.New("second")
	h.FailNext(simulated.OpEnsure, first)
	h.FailNext(simulated.OpEnsure, second)
	for _, want := range []error{first, second, nil} {
		err := h.Ensure(t.Context(), m)
		if !errors.Is(err, want) {
			t.Errorf("ensure gave %v, want %v", err, want)
		}
		all, err := h.List(t.Context())
		if err != nil || (len(all) == 1) != (want == nil) {
			t.Errorf("list gave %v, %v after %v", all, err, want)
		}
	}
	h.FailAlways(simulated.OpRemove, first)
	for range 2 {
		err := h.Remove(t.Context(), m.ID)
		if !errors.Is(err, first) {
			t.Errorf("remove gave %v, want %v", err, first)
		}
	}
	h.FailAlways(simulated.OpRemove, nil)
	err := h.Remove(t.Context(), m.ID)
	if err != nil {
		t.Errorf("remove: %v", err)
	}
}

func TestLatency(t *testing.T) {
	now := clock.NewManual(time.Unix(1000, 0))
	h := open(t, simulated.Options{Latency: time.Minute, Clock: now})
	done := make(chan error, 1)
	go func() { done <- h.Ensure(t.Context(), running("web")) }()
	for {
		now.Advance(time.Minute) // until the call has begun to wait and is through
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// TestScreen connects as a VNC client does, and finds the name on the picture.
func TestScreen(t *testing.T) {
	h := open(t, simulated.Options{})
	m := running("web-1")
	err := h.Ensure(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := h.VNC(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := client{t, conn}
	c.want("RFB 003.008\n")
	c.send("RFB 003.008\n")
	c.want("\x01\x01") // one security type, none
	c.send("\x01")
	c.want("\x00\x00\x00\x00")
	c.send("\x01")
	init := []byte(c.read(24))
	width, height := int(binary.BigEndian.Uint16(init)), int(binary.BigEndian.Uint16(init[2:]))
	c.want("web-1")

	update := "\x03\x00\x00\x00\x00\x00" + string(binary.BigEndian.AppendUint16(nil, uint16(width))) + string(binary.BigEndian.AppendUint16(nil, uint16(height)))
	c.send(update)
	first := c.picture(width, height, 4)
	colors := map[string]int{}
	for i := 0; i < len(first); i += 4 {
		colors[first[i:i+4]]++
	}
	if len(colors) != 4 {
		t.Errorf("picture has %d colours, want 4: title and text, each on its ground", len(colors))
	}

	// A key changes the picture; the client that asked for news gets it.
	c.send("\x03\x01" + update[2:])
	c.send("\x04\x01\x00\x00\x00\x00\x00A")
	second := c.picture(width, height, 4)
	if first == second {
		t.Error("a key was pressed and the picture is the same")
	}

	// 16 bits per pixel, as thin clients ask for.
	c.send("\x00\x00\x00\x00\x10\x10\x00\x01\x00\x1f\x00\x3f\x00\x1f\x0b\x05\x00\x00\x00\x00")
	c.send(update)
	c.picture(width, height, 2)

	err = h.Close()
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Read(make([]byte, 1))
	if err == nil {
		t.Error("the screen is open after its host was closed")
	}
}

type client struct {
	t    *testing.T
	conn io.ReadWriter
}

func (c client) read(n int) string {
	c.t.Helper()
	data := make([]byte, n)
	_, err := io.ReadFull(c.conn, data)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(data)
}

func (c client) want(want string) {
	c.t.Helper()
	got := c.read(len(want))
	if got != want {
		c.t.Fatalf("server says %q, want %q", got, want)
	}
}

func (c client) send(data string) {
	c.t.Helper()
	_, err := io.WriteString(c.conn, data)
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c client) picture(width, height, bytes int) string {
	c.t.Helper()
	c.want("\x00\x00\x00\x01\x00\x00\x00\x00")
	c.read(4)
	c.want("\x00\x00\x00\x00")
	return c.read(width * height * bytes)
}

// TestLight: ten thousand hosts with a guest each are affordable.
func TestLight(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	hosts := make([]*simulated.Host, 10000)
	for i := range hosts {
		h, err := simulated.New(simulated.Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = h.Ensure(t.Context(), running("web"))
		if err != nil {
			t.Fatal(err)
		}
		hosts[i] = h
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / int64(len(hosts))
	if each > 8<<10 {
		t.Errorf("a simulated host with a guest takes %d bytes, want at most 8 KiB", each)
	}
	if n := runtime.NumGoroutine() - goroutines; n > 0 {
		t.Errorf("%d goroutines were started for idle hosts", n)
	}
	log, err := hosts[9999].Log(t.Context(), "nobody", -1)
	if err != nil || strings.Contains(string(log), "login") {
		t.Errorf("log of nobody is %q, %v", log, err)
	}
	t.Logf("%d bytes per host", each)
}
