package qemu

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nacre/internal/clock"
	"nacre/internal/configdrive"
	"nacre/internal/errs"
	"nacre/internal/virt"
)

// TestInside looks at a machine with its own eyes: it boots a guest, signs in
// on the serial line and finds what the definition says.
func TestInside(t *testing.T) {
	l := newLab(t)
	h := l.open()
	drive, err := configdrive.Build(map[string][]byte{
		"openstack/content/0000":          []byte("a line of its own\n"),
		"openstack/latest/meta_data.json": []byte(`{"hostname": "inside.novalocal", "files": [{"content_path": "/content/0000", "path": "srv/a/line"}], "public_keys": {"k": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEvWXwUHFP8FZzJCmN3oK3fRyvYqf3cWJtNbxFzCzHsV"}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	volume, late, port := l.disk(t, clock.UUID()), l.disk(t, clock.UUID()), l.nic(t, clock.UUID())
	m := virt.Machine{
		ID: clock.UUID(), Name: "inside, out", VCPUs: 2, MemoryMB: 192, Running: true,
		Root:        &virt.Root{Image: "guest", SizeGB: 3},
		Disks:       []virt.Disk{volume},
		ConfigDrive: drive,
	}
	err = h.Ensure(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Remove(context.Background(), m.ID) })
	conn, err := h.Serial(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := &typist{t: t, conn: conn}
	s.await("inside login: ", 120*time.Second) // the name is from the config drive
	s.send("cirros")
	s.await("assword: ", 60*time.Second)
	s.send("gocubsgo")
	s.await("$ ", 60*time.Second)

	for _, look := range []struct{ command, want string }{
		{"nproc", "2"},
		{"cat /sys/block/vdb/serial", volume.ID[:20]},
		{"cat /sys/block/vda/size", "6291456"},
		{"df -m / | awk 'END {print ($2 > 2500)}'", "1"},
		{"cat /sys/class/dmi/id/product_name", "OpenStack Nova"},
		{"cat /sys/class/dmi/id/product_uuid 2>&1 || sudo cat /sys/class/dmi/id/product_uuid", m.ID},
		{"wc -l < .ssh/authorized_keys", "1"},
		{"cat /srv/a/line", "a line of its own"},
		{"hostname; echo end", "inside\r\nend"},
		{"blkid -L config-2 -o device", "/dev/"},
		{"sudo mkfs -t ext4 -q /dev/vdb && sudo mount /dev/vdb /mnt && echo mounted", "mounted"},
	} {
		got := s.run(look.command)
		if !strings.Contains(got, look.want) {
			t.Errorf("%s gives %q, want %q", look.command, got, look.want)
		}
	}

	m.Disks = append(m.Disks, late)
	m.NICs = []virt.NIC{port}
	err = h.Ensure(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "hot-plugged disk in the guest", func() bool {
		return strings.Contains(s.run("cat /sys/block/vdc/serial"), late.ID[:20])
	})
	eventually(t, 20*time.Second, "hot-plugged card in the guest", func() bool {
		return strings.Contains(s.run("cat /sys/class/net/*/address"), port.MAC)
	})
	got := s.run("cat /sys/class/net/eth0/mtu")
	if !strings.Contains(got, "1442") {
		t.Errorf("card has mtu %q, want 1442", got)
	}
	l.unprivileged(t, m.ID)

	// Somebody at the line who reads nothing holds up neither the guest nor
	// others: this is more than all buffers on the way take.
	deaf, err := h.Serial(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	got = s.run("seq 1 100000")
	if !strings.Contains(got, "99999") {
		t.Errorf("a flood ends with %q", got[max(0, len(got)-50):])
	}
	deaf.Close()

	// It heeds the power button: a soft reboot ends in its own last words, and
	// is a new process with the same disk.
	h.options.StopTimeout = time.Minute
	before := l.pid(t, m.ID)
	m.SoftReboots = 1
	err = h.Ensure(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	log, err := h.Log(t.Context(), m.ID, -1)
	if err != nil || !strings.Contains(string(log), "Power down") {
		t.Errorf("after a soft reboot the log ends with %q, %v", lastLines(log, 5), err)
	}
	if l.pid(t, m.ID) == before {
		t.Error("the guest was turned off and is the same process")
	}
}

// TestStopsWhileStarting: a guest that is stopped before it hears the power button
// shuts down when it does, unless its time is over before.
func TestStopsWhileStarting(t *testing.T) {
	l := newLab(t)
	h := l.open()
	h.options.StopTimeout = time.Hour
	for _, own := range []*int{nil, new(0)} {
		m := virt.Machine{ID: clock.UUID(), MemoryMB: 128, Running: true, Root: &virt.Root{Image: "guest"}, ShutdownSeconds: own}
		err := h.Ensure(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		m.Running = false
		err = h.Ensure(ctx, m)
		if err != nil {
			t.Fatalf("stop: %v", err)
		}
		log, err := h.Log(t.Context(), m.ID, -1)
		if err != nil || strings.Contains(string(log), "Power down") != (own == nil) {
			t.Errorf("after a stop that may take %v seconds the log ends with %q, %v", own, lastLines(log, 5), err)
		}
	}
}

// TestImpatientRemove: removal does not wait for a soft stop.
func TestImpatientRemove(t *testing.T) {
	l := newLab(t)
	h := l.open()
	h.options.StopTimeout = time.Hour
	m := virt.Machine{ID: clock.UUID(), MemoryMB: 64, Running: true, Root: &virt.Root{Image: "guest"}}
	err := h.Ensure(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	m.Running = false
	stopped := make(chan error, 1)
	go func() { stopped <- h.Ensure(t.Context(), m) }()
	eventually(t, 10*time.Second, "soft stop under way", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		g := h.machines[m.ID].guest
		return g != nil && !g.patience.IsZero()
	})
	err = h.Remove(t.Context(), m.ID)
	if err != nil {
		t.Errorf("remove: %v", err)
	}
	err = <-stopped
	if err == nil {
		t.Error("the stop of a removed machine is a success, want an error")
	}
}

// unprivileged checks what the process may do.
func (l *lab) unprivileged(t *testing.T, id string) {
	t.Helper()
	pid := l.pid(t, id)
	data, err := os.ReadFile(filepath.Join("/proc", itoa(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	wants := []string{"Seccomp:\t2"}
	if l.user != "" {
		wants = append(wants, "Uid:\t65534\t65534\t65534\t65534", "CapEff:\t0000000000000000")
	}
	for _, want := range wants {
		if !bytes.Contains(data, []byte(want)) {
			t.Errorf("the process lacks %q in %s", want, data)
		}
	}
}

// TestSmallRoot: a disk smaller than its image is the user's fault, and what
// was begun can be removed.
func TestSmallRoot(t *testing.T) {
	l := newLab(t)
	big := filepath.Join(l.dir, "big.qcow2")
	out, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", big, "2G").CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img (Debian package qemu-utils): %v: %s", err, out)
	}
	l.image = big
	h := l.open()
	m := virt.Machine{ID: clock.UUID(), MemoryMB: 64, Root: &virt.Root{Image: "big", SizeGB: 1}}
	err = h.Ensure(t.Context(), m)
	if !errs.Is(err, errs.BadRequest) {
		t.Errorf("a root of 1 GB on an image of 2 GB gives %v, want a bad request", err)
	}
	m.Root.SizeGB = 2
	err = h.Ensure(t.Context(), m)
	if err != nil {
		t.Errorf("a root of 2 GB on an image of 2 GB: %v", err)
	}
	m.Root.SizeGB = 5
	err = h.Ensure(t.Context(), m)
	if err != nil {
		t.Errorf("grow to 5 GB: %v", err)
	}
	size, err := virtualSize(filepath.Join(h.options.Dir, m.ID, "root.qcow2"), "qcow2")
	if err != nil || size != 5<<30 {
		t.Errorf("root has %d bytes, %v, want 5 GiB", size, err)
	}
	err = h.Remove(t.Context(), m.ID)
	if err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(h.options.Dir)
	if err != nil || len(left) != 0 {
		t.Errorf("after removal the folder has %v, %v", left, err)
	}
}

// TestRefusedStart: what QEMU says about a definition that it cannot run
// reaches the caller, the machine has not crashed, and a mended one starts.
func TestRefusedStart(t *testing.T) {
	l := newLab(t)
	h := l.open()
	m := virt.Machine{
		ID: clock.UUID(), MemoryMB: 128, Running: true, Root: &virt.Root{Image: "guest"},
		Disks: []virt.Disk{{ID: clock.UUID(), Socket: filepath.Join(l.dir, "nobody-listens"), Export: "x"}},
	}
	err := h.Ensure(t.Context(), m)
	if err == nil || !strings.Contains(err.Error(), "nobody-listens") {
		t.Errorf("a volume that is not served gives %v, want an error that names it", err)
	}
	all, err := h.List(t.Context())
	if err != nil || len(all) != 1 || all[0].Running || all[0].Crashed {
		t.Errorf("list gives %+v, %v, want one machine that is off", all, err)
	}
	m.Disks = nil
	err = h.Ensure(t.Context(), m)
	if err != nil {
		t.Errorf("start without the volume: %v", err)
	}
	err = h.Remove(t.Context(), m.ID)
	if err != nil {
		t.Error(err)
	}
}

// typist is a person at the serial line.
type typist struct {
	t    *testing.T
	conn io.ReadWriteCloser
	seen strings.Builder
	turn int
}

func (s *typist) send(line string) {
	s.t.Helper()
	_, err := io.WriteString(s.conn, line+"\n")
	if err != nil {
		s.t.Fatal(err)
	}
}

// await reads until the text comes, and returns what came before it.
func (s *typist) await(text string, limit time.Duration) string {
	s.t.Helper()
	stop := time.AfterFunc(limit, func() { s.conn.Close() })
	defer stop.Stop()
	buf := make([]byte, 4096)
	for {
		before, after, ok := strings.Cut(s.seen.String(), text)
		if ok {
			s.seen.Reset()
			s.seen.WriteString(after)
			return before
		}
		n, err := s.conn.Read(buf)
		if err != nil {
			s.t.Fatalf("no %q on the serial line within %v: %v; seen: %s", text, limit, err, s.seen.String())
		}
		s.seen.Write(buf[:n])
	}
}

// run gives a command to the guest's shell and returns what it printed. The
// marks are written so that their echo is not taken for them.
func (s *typist) run(command string) string {
	s.t.Helper()
	s.turn++
	n := itoa(s.turn)
	s.send("echo be''gin" + n + "; " + command + "; echo e''nd" + n)
	s.await("begin"+n, time.Minute)
	return s.await("end"+n, 3*time.Minute) // an emulated guest may be told to write much
}
