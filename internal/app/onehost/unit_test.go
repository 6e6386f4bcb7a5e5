package onehost

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// unit is what a unit file says about its service.
type unit map[string][]string

func readUnit(t testing.TB, name string) unit {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("/lib/systemd/system", name))
	if err != nil {
		t.Fatal(err)
	}
	out := unit{}
	for line := range strings.Lines(string(content)) {
		key, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if found && !strings.HasPrefix(key, "#") {
			out[key] = append(out[key], value)
		}
	}
	return out
}

// startUnit runs what the unit starts, with no more rights than it grants, and
// returns when the program has reported that it is ready, as systemctl does.
func (c *cloud) startUnit(name string) {
	c.t.Helper()
	u := readUnit(c.t, name)
	if len(u["ExecStart"]) != 1 || u["Type"][0] != "notify" || u["KillMode"][0] != "process" || u["NoNewPrivileges"][0] != "yes" {
		c.t.Fatalf("%s is not as this test starts it: %v", name, u)
	}
	var dropped []string
	for _, set := range u["CapabilityBoundingSet"] {
		for capability := range strings.FieldsSeq(strings.TrimPrefix(set, "~")) {
			dropped = append(dropped, "-"+strings.ToLower(strings.TrimPrefix(capability, "CAP_")))
		}
	}
	socket := filepath.Join(c.dir, "notify")
	listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		c.t.Fatal(err)
	}
	defer os.Remove(socket)
	defer listener.Close()
	args := append([]string{"--no-new-privs", "--bounding-set", strings.Join(dropped, ","), "--"}, strings.Fields(u["ExecStart"][0])...)
	c.cmd = exec.Command("setpriv", args...)
	c.cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "NOTIFY_SOCKET=" + socket}
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = c.cmd.Start()
	if err != nil {
		c.t.Fatal(err)
	}
	message := make([]byte, 100)
	err = listener.SetReadDeadline(time.Now().Add(time.Minute))
	if err != nil {
		c.t.Fatal(err)
	}
	n, err := listener.Read(message)
	if err != nil || string(message[:n]) != "READY=1" {
		c.t.Fatalf("%s told systemd %q, %v, want READY=1", name, message[:n], err)
	}
	c.waitHealthy()
}

// stop ends the program as systemctl stop does.
func (c *cloud) stop() {
	c.t.Helper()
	err := c.cmd.Process.Signal(syscall.SIGTERM)
	if err == nil {
		err = c.cmd.Wait()
	}
	if err != nil {
		c.t.Errorf("stop: %v", err)
	}
	c.cmd = nil
}
