package threehosts

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nacre/internal/fabric/ovn"
	"nacre/internal/soak"
)

// diskMB is the disk of a host.
const diskMB = 20_000

// kills are how many there are at least.
const kills = 30

// Two servers on PostgreSQL and RabbitMQ, and three real hosts, lose processes,
// guests, links and the space on their disks at random moments while users work.
func TestHostsUnderFaults(t *testing.T) {
	if os.Getenv("NACRE_SOAK_MINUTES") == "" {
		t.Skip("it takes minutes: make soak runs it")
	}
	seed := soak.Seeded(t)
	folder := t.TempDir()
	for path := folder; path != os.TempDir(); path = filepath.Dir(path) {
		err := os.Chmod(path, 0o755) // PostgreSQL runs as another account
		if err != nil {
			t.Fatal(err)
		}
	}
	disks := []soak.Room{{Disk: filepath.Join(folder, "database"), DiskMB: diskMB}, {Disk: filepath.Join(folder, "blobs"), DiskMB: diskMB}}
	for _, d := range disks {
		d.Mount(t)
	}
	database, messages := soak.NewPostgres(t, disks[0].Disk), broker(t)
	l := newLab(t, 3, setting{
		db: "postgres://postgres@/nacre?host=" + database.Folder, bus: "amqp://guest:guest@" + messages.Address() + "/", blobs: disks[1].Disk,
		diskMB: diskMB,
	})
	l.addEmptyImage()
	l.waitUp(l.servers[0])

	day := soak.NewDay(t, seed, l.client)
	day.Deaf = true // nothing runs in them
	day.Work(2, 2, 400*time.Millisecond)
	w := &wreckage{Faults: soak.NewFaults(t, kills, func() bool { return day.Enough(2, 2) }), lab: l}
	w.wreck(seed, database, disks, func(r *rand.Rand) { w.HurtBroker(t, r, messages) })
	day.End()
	for _, s := range l.servers {
		s.Ready(s.url)
	}
	l.waitUp(l.servers[1])
	t.Logf("%s, %d of them guests", w, w.guests)

	day.MustEnough(2, 2)
	admin := l.client("admin")
	l.auditHosts(soak.Audit(t, admin, day, func(string) bool { return w.Fills.Load() > 0 }))
	day.Tidy()
	soak.Empty(t, admin, l.client("demo"), l.left)
}

// addEmptyImage gives the cloud an image in which nothing boots: what guests do is
// not what this is about, and their processors are the test's.
func (l *lab) addEmptyImage() {
	l.t.Helper()
	admin, ctx := l.servers[0].user(l.t, "nacre"), context.Background()
	public := images.ImageVisibilityPublic
	made, err := images.Create(ctx, admin.image, images.CreateOpts{
		Name: "cirros", DiskFormat: "raw", ContainerFormat: "bare", Visibility: &public,
	}).Extract()
	l.must(err)
	l.must(imagedata.Upload(ctx, admin.image, made.ID, bytes.NewReader(make([]byte, 1<<20))).ExtractErr())
}

// client is a user who knows both servers.
func (l *lab) client(user string) *soak.Client {
	l.t.Helper()
	known, err := soak.ReadSecrets(l.servers[0].dir)
	l.must(err)
	return soak.NewClient(l.t, filepath.Join(l.servers[0].dir, "ca.pem"), user,
		map[string]string{"admin": known.Admin, "demo": known.Demo}[user], l.servers[0].url, l.servers[1].url)
}

// wreckage is what was broken of a lab.
type wreckage struct {
	*soak.Faults
	lab    *lab
	guests int
}

// wreck breaks things until enough was broken. Everything runs when it returns.
func (w *wreckage) wreck(seed uint64, database *soak.Postgres, disks []soak.Room, hurtBroker func(r *rand.Rand)) {
	var wreckers sync.WaitGroup
	harm := func(actor uint64, pause time.Duration, do func(r *rand.Rand)) {
		wreckers.Go(func() { w.Often(soak.Dice(seed, actor), pause, do) })
	}
	for i, s := range w.lab.servers {
		harm(uint64(100+i), 12*time.Second, func(r *rand.Rand) {
			w.Hurt(r, s.Process)
			s.Ready(s.url)
		})
	}
	for i, h := range w.lab.hosts {
		harm(uint64(200+i), 15*time.Second, func(r *rand.Rand) { w.Hurt(r, h.node) })
		harm(uint64(210+i), 30*time.Second, func(r *rand.Rand) { w.fill(r, h) })
	}
	harm(300, 20*time.Second, func(r *rand.Rand) {
		if r.IntN(2) == 0 {
			w.fill(r, disks[0])
		} else {
			w.Hurt(r, database.Process)
		}
		database.Revive()
	})
	harm(305, 20*time.Second, func(r *rand.Rand) { w.fill(r, disks[1]) })
	harm(301, 30*time.Second, hurtBroker)
	harm(302, 15*time.Second, w.cut)
	harm(303, 15*time.Second, w.killGuest)
	harm(304, 20*time.Second, w.killDaemon)
	wreckers.Wait()
}

// cut takes the cable between a host and the servers out for a while.
func (w *wreckage) cut(r *rand.Rand) {
	cable, err := netlink.LinkByName(fmt.Sprintf("mgmt-%d", 1+r.IntN(len(w.lab.hosts))))
	w.lab.must(err)
	w.lab.must(netlink.LinkSetDown(cable))
	soak.Pause(r, 8*time.Second)
	w.lab.must(netlink.LinkSetUp(cable))
	w.Cuts.Add(1)
}

// fill leaves no space on a disk for a while: a host's, the database's, that of
// the servers' bytes.
func (w *wreckage) fill(r *rand.Rand, disk interface {
	Fill() error
	Free() error
}) {
	w.lab.must(disk.Fill())
	soak.Pause(r, 5*time.Second)
	w.lab.must(disk.Free())
	w.Fills.Add(1)
}

// killGuest kills the process of a guest, as the kernel does that runs out of
// memory.
func (w *wreckage) killGuest(r *rand.Rand) {
	if w.killOne(r, "qemu-system") {
		w.guests++
	}
}

// killDaemon kills a part of the network of a host, which its node starts again,
// or of its center, which whoever runs that starts again.
func (w *wreckage) killDaemon(r *rand.Rand) {
	names := []string{"ovn-controller", "ovs-vswitchd", "ovn-northd"}
	w.killOne(r, names[r.IntN(len(names))])
	soak.Pause(r, 5*time.Second)
	w.lab.startCentral()
}

// killOne kills one of the processes whose program is named so.
func (w *wreckage) killOne(r *rand.Rand, program string) bool {
	found := processes(w.lab.t, program)
	if len(found) == 0 {
		return false
	}
	pids := make([]int, 0, len(found))
	for pid := range found {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	_ = unix.Kill(pids[r.IntN(len(pids))], unix.SIGKILL) // it may have ended by itself
	w.Kills.Add(1)
	return true
}

// processes are the command lines of the processes of a program, by pid. Its name
// is enough of the first word's end to be known by.
func processes(t *testing.T, program string) map[int]string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	for _, f := range files {
		line, err := os.ReadFile(f)
		first, _, _ := bytes.Cut(line, []byte{0})
		if err != nil || !strings.HasPrefix(filepath.Base(string(first)), program) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(f, "/")[2])
		if err == nil {
			found[pid] = string(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
	return found
}

// auditHosts holds the guests against the servers: each runs once, if it is to
// run, and nothing else does.
func (l *lab) auditHosts(servers map[string]soak.ServerRow) {
	l.t.Helper()
	running := map[string]int{}
	for pid, line := range processes(l.t, "qemu-system") {
		id := uuid.FindString(line)
		running[id]++
		if _, wanted := servers[id]; !wanted {
			l.t.Errorf("process %d is guest %s, which nobody asked for: %s", pid, id, line)
		}
	}
	for id, s := range servers {
		want := map[string]int{"ACTIVE": 1}[s.Status]
		if running[id] != want && s.Status != "ERROR" {
			l.t.Errorf("server %s is %s and runs %d times", id, s.Status, running[id])
		}
	}
}

var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// left is what hosts and the network should not have when the cloud is empty.
func (l *lab) left(ports map[string]bool) (list []string) {
	l.t.Helper()
	for _, program := range []string{"qemu-system", "qemu-storage-daemon", "qemu-nbd", "qemu-img"} {
		for _, line := range processes(l.t, program) {
			list = append(list, "process "+line)
		}
	}
	for _, h := range l.hosts {
		err := h.Inside(func(n *netlink.Handle) error {
			links, err := n.LinkList()
			for _, link := range links {
				if strings.HasPrefix(link.Attrs().Name, "tap") {
					list = append(list, h.Name+" has device "+link.Attrs().Name)
				}
			}
			return err
		})
		l.must(err)
		for _, kind := range []string{"machines", "volumes"} {
			found, err := filepath.Glob(h.Path(filepath.Join(h.dir, kind, "*")))
			l.must(err)
			for _, path := range found {
				if uuid.MatchString(path) {
					list = append(list, h.Name+" has "+kind+"/"+filepath.Base(path))
				}
			}
		}
	}
	for _, db := range []struct{ program, address, table, column string }{
		{"ovn-nbctl", fmt.Sprintf("tcp:%s:%d", outside, ovn.NorthPort), "logical_switch_port", "name"},
		{"ovn-sbctl", fmt.Sprintf("tcp:%s:%d", outside, ovn.SouthPort), "port_binding", "logical_port"},
	} {
		out, err := exec.Command(db.program, "--db="+db.address, "--bare", "--columns="+db.column, "--no-leader-only", "find", db.table).CombinedOutput()
		if err != nil {
			l.t.Fatalf("%s: %v: %s", db.program, err, out)
		}
		for _, name := range strings.Fields(string(out)) {
			if uuid.FindString(name) == name && !ports[name] {
				list = append(list, db.table+" has port "+name)
			}
		}
	}
	return list
}
