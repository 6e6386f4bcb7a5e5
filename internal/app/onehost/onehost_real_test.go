package onehost

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/rules"

	"nacre/internal/app"
	"nacre/internal/await"
)

// One cloud on one host, from nothing to nothing: the story of make demo, what
// packets may do, kills at random moments, and an end that leaves nothing.
func TestOneHost(t *testing.T) {
	before := traces(t)
	c := newCloud(t)
	c.start()
	address := story(t, c)
	t.Run("story again", func(t *testing.T) {
		if again := story(t, c); again != address {
			t.Errorf("the second run has address %s, the first had %s", again, address)
		}
	})
	demo := c.user("nacre-demo")
	t.Run("packets", func(t *testing.T) { packets(t, c, demo, address) })
	t.Run("power", func(t *testing.T) { power(t, c, demo, address) })
	t.Run("kills", func(t *testing.T) { kills(t, c, demo, address) })
	t.Run("removal", func(t *testing.T) { removal(t, c, demo) })
	t.Run("down", func(t *testing.T) { down(t, c, before) })
}

// story runs the demo command, as make demo does, and returns the address of
// its server.
func story(t *testing.T, c *cloud) string { return storyOf(t, c, "demo") }

// storyOf is story with a server of that name, which may be there already.
func storyOf(t *testing.T, c *cloud, name string) string {
	t.Helper()
	program := filepath.Join(c.dir, "demo")
	_, err := os.Stat(program)
	if err != nil {
		out, err := exec.Command("go", "build", "-o", program, "nacre/cmd/demo").CombinedOutput()
		if err != nil {
			t.Fatalf("build the demo: %v: %s", err, out)
		}
	}
	out, err := exec.Command(program, "--data-dir", c.data(), "--name", name).CombinedOutput()
	if err != nil {
		t.Fatalf("demo: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	found := regexp.MustCompile(`cirros@([0-9.]+)`).FindSubmatch(out)
	if found == nil || !strings.Contains(string(out), "/mnt/volume") {
		t.Fatalf("the demo names no address or no volume")
	}
	return string(found[1])
}

// packets checks that what no rule allows is dropped, and at once allowed again
// with the rule; and that the guest reaches its metadata.
func packets(t *testing.T, c *cloud, demo user, address string) {
	ctx := context.Background()
	shell := c.must(address)
	shell.run(t, "ping -c 1 -W 5 $(ip route | awk '/^default/ {print $3}')") // as who is not root
	meta := shell.run(t, "curl -s http://169.254.169.254/openstack/latest/meta_data.json")
	if !strings.Contains(meta, `"name"`) || !strings.Contains(meta, "ssh-ed25519") {
		t.Errorf("metadata: %s", meta)
	}
	spoofed := shell.run(t, "curl -s -H 'X-Instance-ID: 0' -H 'X-Forwarded-For: 10.0.0.1' http://169.254.169.254/latest/meta-data/instance-id")
	if !strings.HasPrefix(spoofed, "i-") {
		t.Errorf("a request with the headers of a proxy got %q, want this guest's id: they mean nothing here", spoofed)
	}
	shell.Close()

	pages, err := groups.List(demo.network, groups.ListOpts{Name: "default"}).AllPages(ctx)
	if err != nil {
		t.Fatal(err)
	}
	all, err := groups.ExtractGroups(pages)
	if err != nil || len(all) != 1 {
		t.Fatalf("got %d groups, %v", len(all), err)
	}
	for _, r := range all[0].Rules {
		if r.Protocol == "tcp" && r.PortRangeMin == 22 {
			err = rules.Delete(ctx, demo.network, r.ID).ExtractErr()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	open := func() bool {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(address, "22"), time.Second)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}
	await.Until(t, "ssh to be dropped", 10*time.Second, func() bool { return !open() })
	_, err = rules.Create(ctx, demo.network, rules.CreateOpts{
		Direction: rules.DirIngress, EtherType: rules.EtherType4, SecGroupID: all[0].ID, Protocol: rules.ProtocolTCP, PortRangeMin: 22, PortRangeMax: 22,
	}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, "ssh to be allowed", 10*time.Second, open)
}

// power stops the guest, starts it again, and reads its console log and screen.
func power(t *testing.T, c *cloud, demo user, address string) {
	ctx := context.Background()
	id := serverID(t, demo, "demo")
	log, err := servers.ShowConsoleOutput(ctx, demo.compute, id, servers.ShowConsoleOutputOpts{Length: 50}).Extract()
	if err != nil || !strings.Contains(log, "login:") {
		t.Errorf("console log: %v: %s", err, log)
	}
	err = servers.Stop(ctx, demo.compute, id).ExtractErr()
	if err != nil {
		t.Fatal(err)
	}
	demo.server(t, id, "SHUTOFF")
	if left := processes(t, "qemu-system"); len(left) != 0 {
		t.Errorf("a stopped guest runs: %v", left)
	}
	err = servers.Start(ctx, demo.compute, id).ExtractErr()
	if err != nil {
		t.Fatal(err)
	}
	demo.server(t, id, "ACTIVE")
	c.must(address).Close()
}

func serverID(t *testing.T, u user, name string) string {
	t.Helper()
	pages, err := servers.List(u.compute, servers.ListOpts{Name: "^" + name + "$"}).AllPages(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	all, err := servers.ExtractServers(pages)
	if err != nil || len(all) != 1 {
		t.Fatalf("got %d servers named %s, %v", len(all), name, err)
	}
	return all[0].ID
}

// kills ends the cloud with -9 while it makes and removes servers and volumes.
// Guests run on; what was acknowledged is finished after the restart.
func kills(t *testing.T, c *cloud, demo user, address string) {
	ctx := context.Background()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	demo.compute.Microversion = "2.37" // networks: auto
	shell := c.must(address)
	up := shell.uptime(t)
	for range 3 {
		server, err := servers.Create(ctx, demo.compute, servers.CreateOpts{
			Name: "victim", FlavorRef: "1", ImageRef: demo.server(t, serverID(t, demo, "demo"), "ACTIVE").Image["id"].(string), Networks: "auto",
		}, nil).Extract()
		if err != nil {
			t.Fatal(err)
		}
		volume, err := volumes.Create(ctx, demo.volume, volumes.CreateOpts{Name: "victim", Size: 1}, nil).Extract()
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(random.IntN(900)) * time.Millisecond)
		c.kill()
		c.start()
		demo.server(t, server.ID, "ACTIVE")
		await.Until(t, "the volume to be available", time.Minute, func() bool {
			v, err := volumes.Get(ctx, demo.volume, volume.ID).Extract()
			return err == nil && v.Status == "available"
		})
		err = servers.Delete(ctx, demo.compute, server.ID).ExtractErr()
		if err != nil {
			t.Fatal(err)
		}
		err = volumes.Delete(ctx, demo.volume, volume.ID, nil).ExtractErr()
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(random.IntN(300)) * time.Millisecond)
		c.kill()
		c.start()
		await.Until(t, "the server to be gone", time.Minute, func() bool {
			_, err := servers.Get(ctx, demo.compute, server.ID).Extract()
			return err != nil && strings.Contains(err.Error(), "404")
		})
		await.Until(t, "the volume to be gone", time.Minute, func() bool {
			_, err := volumes.Get(ctx, demo.volume, volume.ID).Extract()
			return err != nil && strings.Contains(err.Error(), "404")
		})
	}
	now := shell.uptime(t)
	if now < up {
		t.Errorf("the guest was restarted: its uptime went from %.0f s to %.0f s", up, now)
	}
	// The guest was booted anew by the test of its power.
	if !strings.Contains(shell.run(t, "sudo mkdir -p /mnt/volume && sudo mount -t ext4 /dev/vdb /mnt/volume && cat /mnt/volume/hello"), "mounted") {
		t.Error("the volume has lost what was written to it")
	}
	shell.Close()
	await.Until(t, "one guest to be left", time.Minute, func() bool { return len(processes(t, "qemu-system")) == 1 })
}

// removal deletes what there is; nothing of it may stay on the host.
func removal(t *testing.T, c *cloud, demo user) {
	err := servers.Delete(context.Background(), demo.compute, serverID(t, demo, "demo")).ExtractErr()
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the guest to be gone", time.Minute, func() bool { return len(processes(t, "qemu-system")) == 0 })
	await.Until(t, "its volume's server to be gone", time.Minute, func() bool { return len(processes(t, "qemu-storage-daemon")) == 0 })
	await.Until(t, "its tap to be gone", time.Minute, func() bool {
		for _, name := range devices(t) {
			if strings.HasPrefix(name, "tap") {
				return false
			}
		}
		return true
	})
	await.Until(t, "its folder to be gone", time.Minute, func() bool {
		left, err := filepath.Glob(filepath.Join(c.data(), "run", "*-*-*-*-*"))
		return err == nil && len(left) == 0
	})
}

// down ends everything and compares with how the host was before.
func down(t *testing.T, c *cloud, before map[string]bool) {
	c.kill()
	err := app.Down(context.Background(), app.Config{Real: true, DataDir: c.data()}, app.DownOptions{All: true, Yes: true, Out: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	for trace := range traces(t) {
		if !before[trace] {
			t.Errorf("left behind: %s", trace)
		}
	}
	_, err = os.Stat(c.data())
	if !os.IsNotExist(err) {
		t.Errorf("the data folder is still there: %v", err)
	}
}

func devices(t *testing.T) []string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range all {
		out = append(out, d.Name)
	}
	return out
}

// traces are the things that a cloud may leave on its host. PostgreSQL is the
// tests', when they run on it.
func traces(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, d := range devices(t) {
		out["device "+d] = true
	}
	for _, p := range processes(t, "") {
		if p != "" && !strings.Contains(p, "onehost") && !strings.Contains(p, "postgres") {
			out["process "+p] = true
		}
	}
	names, err := filepath.Glob("/run/netns/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		out["namespace "+n] = true
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range strings.Split(string(mounts), "\n") {
		out["mount "+m] = true
	}
	return out
}
