package onehost

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"

	"nacre/internal/await"
)

// swap gives a guest another, larger volume in place of one that it writes to all the
// while: each line that it was told is written is on the new one, those from before,
// from meanwhile and from after, and the old one is free and has none of the last.
func (l volumeLab) swap(t *testing.T, server string, g shell) {
	ctx := context.Background()
	old := l.volume(t, volumes.CreateOpts{Name: "old"})
	made, err := volumes.Create(ctx, l.demo.volume, volumes.CreateOpts{Name: "new", Size: 2}, nil).Extract()
	if err != nil {
		t.Fatal(err)
	}
	l.status(t, made.ID, "available")
	disk := l.attach(t, server, g, old)
	g.write(t, disk, 5, "from before")
	g.run(t, fmt.Sprintf(`cat >/tmp/writer <<'END'
i=0
while [ ! -e /tmp/stop ]; do
	i=$((i+1))
	echo "line $i of all" | dd of=%s bs=512 seek=$((1000+i)) conv=notrunc,fsync 2>/dev/null
	echo $i >/tmp/written.new && mv /tmp/written.new /tmp/written
done
touch /tmp/ended
END
setsid sudo sh /tmp/writer >/dev/null 2>&1 </dev/null &`, disk))
	written := func() int {
		n, err := strconv.Atoi(strings.TrimSpace(g.run(t, "cat /tmp/written 2>/dev/null || echo 0")))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	grows := func(by int) {
		t.Helper()
		from := written()
		await.Until(t, "the guest to write on", time.Minute, func() bool { return written() >= from+by })
	}
	grows(1)
	admin := l.c.user("nacre")
	_, err = admin.compute.Put(ctx, admin.compute.ServiceURL("servers", server, "os-volume_attachments", old),
		map[string]any{"volumeAttachment": map[string]any{"volumeId": made.ID}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.status(t, made.ID, "in-use")
	l.status(t, old, "available")
	grows(3)
	g.run(t, "touch /tmp/stop")
	await.Until(t, "the guest to write no more", time.Minute, func() bool { return g.run(t, "ls /tmp/ended 2>/dev/null || true") != "" })
	last := written()
	wantLine(t, "what was written before", g.read(t, disk, 5), "from before")
	lines := g.run(t, fmt.Sprintf("sudo dd if=%s bs=512 skip=1001 count=%d 2>/dev/null | grep -c ' of all'", disk, last))
	wantLine(t, "how many lines are on the new volume", lines, fmt.Sprint(last))
	wantLine(t, "how large the guest's disk is", g.run(t, "cat /sys/block/"+strings.TrimPrefix(disk, "/dev/")+"/size"), fmt.Sprint(2<<30/512))
	mark := fmt.Sprintf("line %d of all", last)
	if !l.onHost(t, made.ID, mark) || l.onHost(t, old, mark) {
		t.Errorf("the last line is to be in the file of the new volume, and not in that of the old one")
	}
	l.detach(t, server, made.ID)
	for _, id := range []string{old, made.ID} {
		l.delete(t, id)
	}
}
