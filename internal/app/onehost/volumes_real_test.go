package onehost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/backups"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumetypes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/instanceactions"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/volumeattach"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"nacre/internal/await"
)

// What guests write to volumes is what guests read from them: two guests, one of
// them booted from a volume, on one cloud.
func TestVolumes(t *testing.T) {
	before := traces(t)
	c := newCloud(t)
	c.start()
	demo := c.user("nacre-demo")
	demo.volume.Microversion, demo.compute.Microversion = "3.59", "2.79"
	first := c.must(story(t, c))
	id := serverID(t, demo, "demo")
	image := demo.server(t, id, "ACTIVE").Image["id"].(string)
	fromVolume := bootFromVolume(t, demo, "disk-born", image)
	l := volumeLab{c: c, demo: demo, types: volumeTypes(t, c.user("nacre"))}
	t.Run("extend", func(t *testing.T) { l.extend(t, id, first) })
	t.Run("swap", func(t *testing.T) { l.swap(t, id, first) })
	t.Run("upload", func(t *testing.T) { l.upload(t, id, first) })
	t.Run("backup", func(t *testing.T) { l.backup(t, id, first) })

	address := storyOf(t, c, "disk-born")
	t.Run("boot from volume and encryption", func(t *testing.T) { l.reboot(t, fromVolume, address) })
	t.Run("rebuild", func(t *testing.T) { l.rebuild(t, fromVolume, address, image) })
	second := c.must(address)
	t.Run("multi-attach", func(t *testing.T) { l.shared(t, id, first, fromVolume, second) })
	goes := ""
	t.Run("tagged", func(t *testing.T) { goes = l.tagged(t, fromVolume, second) })
	t.Run("CD", func(t *testing.T) { fromCD(t, demo) })
	t.Run("images fetched ahead", func(t *testing.T) { ahead(t, c, demo) })
	first.Close()
	second.Close()
	t.Run("goes with its server", func(t *testing.T) { l.removal(t, fromVolume, goes) })
	down(t, c, before)
}

// volumeLab is a cloud with types of volumes.
type volumeLab struct {
	c     *cloud
	demo  user
	types map[string]string // id by name
}

func volumeTypes(t *testing.T, admin user) map[string]string {
	t.Helper()
	ctx := context.Background()
	out := map[string]string{}
	for _, name := range []string{"encrypted", "shared"} {
		opts := volumetypes.CreateOpts{Name: name}
		if name == "shared" {
			opts.ExtraSpecs = map[string]string{"multiattach": "<is> True"}
		}
		made, err := volumetypes.Create(ctx, admin.volume, opts).Extract()
		if err != nil {
			t.Fatal(err)
		}
		out[name] = made.ID
	}
	_, err := volumetypes.CreateEncryption(ctx, admin.volume, out["encrypted"], volumetypes.CreateEncryptionOpts{
		Provider: "luks", Cipher: "aes-xts-plain64", KeySize: 256, ControlLocation: "front-end",
	}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// bootFromVolume begins to make a server whose disk is a volume made of an image.
func bootFromVolume(t *testing.T, u user, name, image string) string {
	t.Helper()
	made, err := servers.Create(context.Background(), u.compute, keypairs.CreateOptsExt{KeyName: "nacre-demo", CreateOptsBuilder: servers.CreateOpts{
		Name: name, FlavorRef: "1", Networks: "auto",
		BlockDevice: []servers.BlockDevice{{
			SourceType: servers.SourceImage, UUID: image, DestinationType: servers.DestinationVolume, VolumeSize: 1, DeleteOnTermination: true,
		}},
	}}, nil).Extract()
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// volume makes a volume and waits for it.
func (l volumeLab) volume(t *testing.T, opts volumes.CreateOpts) string {
	t.Helper()
	opts.Size = 1
	v, err := volumes.Create(context.Background(), l.demo.volume, opts, nil).Extract()
	if err != nil {
		t.Fatal(err)
	}
	l.status(t, v.ID, "available")
	return v.ID
}

func (l volumeLab) status(t *testing.T, id, want string) {
	t.Helper()
	await.Until(t, fmt.Sprintf("volume %s to be %s", id, want), time.Minute, func() bool {
		v, err := volumes.Get(context.Background(), l.demo.volume, id).Extract()
		if err != nil || strings.HasPrefix(v.Status, "error") {
			t.Fatalf("volume %s: %+v, %v", id, v, err)
		}
		return v.Status == want
	})
}

// attach gives a server a volume and returns the guest's name for the disk.
func (l volumeLab) attach(t *testing.T, server string, g shell, id string) string {
	t.Helper()
	_, err := volumeattach.Create(context.Background(), l.demo.compute, server, volumeattach.CreateOpts{VolumeID: id}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	return g.disk(t, id)
}

// detach takes a volume from a server.
func (l volumeLab) detach(t *testing.T, server, id string) {
	t.Helper()
	err := volumeattach.Delete(context.Background(), l.demo.compute, server, id).ExtractErr()
	if err != nil {
		t.Fatal(err)
	}
	l.status(t, id, "available")
}

func (l volumeLab) delete(t *testing.T, id string) {
	t.Helper()
	err := volumes.Delete(context.Background(), l.demo.volume, id, nil).ExtractErr()
	if err != nil {
		t.Fatal(err)
	}
}

// disk waits until the guest has a volume and returns its device.
func (g shell) disk(t *testing.T, volume string) string {
	t.Helper()
	device := ""
	await.Until(t, "the guest to have volume "+volume, time.Minute, func() bool {
		device = g.run(t, fmt.Sprintf(`for d in /sys/block/vd*; do if [ "$(cat $d/serial)" = %s ]; then echo /dev/${d##*/}; fi; done`, volume[:20]))
		return device != ""
	})
	return device
}

// write puts a text at a place of a disk, in MiB, past all caches.
func (g shell) write(t *testing.T, disk string, at int, text string) {
	t.Helper()
	g.run(t, fmt.Sprintf("echo '%s' | sudo dd of=%s bs=1M seek=%d conv=notrunc,fsync 2>&1", text, disk, at))
}

// read is the line at a place of a disk, as it is now.
func (g shell) read(t *testing.T, disk string, at int) string {
	t.Helper()
	return g.run(t, fmt.Sprintf("echo 3 | sudo tee /proc/sys/vm/drop_caches >/dev/null; sudo dd if=%s bs=1M skip=%d count=1 2>/dev/null | head -n 1 | tr -d '\\000'", disk, at))
}

func wantLine(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// extend makes a volume larger under a running guest, which sees it, keeps what
// it wrote, and finds room at the new end; its owner finds the action.
func (l volumeLab) extend(t *testing.T, server string, g shell) {
	ctx := context.Background()
	id := l.volume(t, volumes.CreateOpts{Name: "growing"})
	disk := l.attach(t, server, g, id)
	g.write(t, disk, 7, "before it grew")
	err := volumes.ExtendSize(ctx, l.demo.volume, id, volumes.ExtendSizeOpts{NewSize: 2}).ExtractErr()
	if err != nil {
		t.Fatal(err)
	}
	l.status(t, id, "in-use")
	size := "cat /sys/block/" + filepath.Base(disk) + "/size"
	await.Until(t, "the guest to see 2 GiB", time.Minute, func() bool { return g.run(t, size) == fmt.Sprint(2<<30/512) })
	wantLine(t, "what was written before", g.read(t, disk, 7), "before it grew")
	g.write(t, disk, 2000, "behind the old end")
	wantLine(t, "what was written behind the old end", g.read(t, disk, 2000), "behind the old end")
	await.Until(t, "the action extend_volume to have succeeded", time.Minute, func() bool {
		pages, err := instanceactions.List(l.demo.compute, server, nil).AllPages(ctx)
		if err != nil {
			t.Fatal(err)
		}
		list, err := instanceactions.ExtractInstanceActions(pages)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list {
			if a.Action != "extend_volume" {
				continue
			}
			whole, err := instanceactions.Get(ctx, l.demo.compute, server, a.RequestID).Extract()
			if err != nil {
				t.Fatal(err)
			}
			return (*whole.Events)[0].Event == "compute_extend_volume" && (*whole.Events)[0].Result == "Success"
		}
		return false
	})
	l.detach(t, server, id)
}

// backup makes a full and an incremental backup of what a guest writes, and the
// guest finds all of it in what is made of them.
func (l volumeLab) backup(t *testing.T, server string, g shell) {
	ctx := context.Background()
	id := l.volume(t, volumes.CreateOpts{Name: "precious"})
	disk := l.attach(t, server, g, id)
	g.write(t, disk, 3, "in the full backup")
	g.write(t, disk, 1000, "in the full backup, at the end")
	g.run(t, "sudo dd if=/dev/urandom of="+disk+" bs=1M seek=100 count=8 conv=notrunc,fsync 2>&1")
	made := ""
	for _, incremental := range []bool{false, true} {
		b, err := backups.Create(ctx, l.demo.volume, backups.CreateOpts{VolumeID: id, Force: true, Incremental: incremental}).Extract()
		if err != nil {
			t.Fatal(err)
		}
		made = b.ID
		await.Until(t, "the backup to be made", time.Minute, func() bool {
			b, err = backups.Get(ctx, l.demo.volume, made).Extract()
			if err != nil || b.Status == "error" {
				t.Fatalf("backup: %+v, %v", b, err)
			}
			return b.Status == "available"
		})
		if b.IsIncremental != incremental {
			t.Errorf("backup: is_incremental is %v, want %v", b.IsIncremental, incremental)
		}
		if !incremental {
			g.write(t, disk, 3, "in the incremental backup")
		}
	}
	const sum = "sudo dd if=%s bs=1M skip=100 count=8 2>/dev/null | md5sum"
	random := g.run(t, fmt.Sprintf(sum, disk))
	g.write(t, disk, 3, "in no backup")
	l.detach(t, server, id)
	restored, err := backups.RestoreFromBackup(ctx, l.demo.volume, made, backups.RestoreOpts{Name: "restored"}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	l.status(t, restored.VolumeID, "available")
	again := l.attach(t, server, g, restored.VolumeID)
	wantLine(t, "what the second backup has", g.read(t, again, 3), "in the incremental backup")
	wantLine(t, "what the first backup has", g.read(t, again, 1000), "in the full backup, at the end")
	wantLine(t, "random bytes", g.run(t, fmt.Sprintf(sum, again)), random)
	l.detach(t, server, restored.VolumeID)
}

// upload makes images of what a guest has written, in the formats of others.
func (l volumeLab) upload(t *testing.T, server string, g shell) {
	ctx := context.Background()
	id := l.volume(t, volumes.CreateOpts{Name: "picture"})
	const text = "for other clouds to read"
	g.write(t, l.attach(t, server, g, id), 3, text)
	l.detach(t, server, id)
	for format, driver := range map[string]string{"vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx", "vdi": "vdi"} {
		made, err := volumes.UploadImage(ctx, l.demo.volume, id, volumes.UploadImageOpts{ImageName: format, DiskFormat: format}).Extract()
		if err != nil {
			t.Fatal(err)
		}
		await.Until(t, "the image to be active", time.Minute, func() bool {
			found, err := images.Get(ctx, l.demo.image, made.ImageID).Extract()
			if err != nil || found.Status == "killed" {
				t.Fatalf("image: %+v, %v", found, err)
			}
			return found.Status == images.ImageStatusActive
		})
		l.status(t, id, "available")
		bytes, err := imagedata.Download(ctx, l.demo.image, made.ImageID).Extract()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(l.c.dir, format)
		f, err := os.Create(file)
		if err == nil {
			_, err = io.Copy(f, bytes)
		}
		err = errors.Join(err, f.Close(), bytes.Close())
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("qemu-img", "dd", "-f", driver, "-O", "raw", "bs=1M", "skip=3", "count=4", "if="+file, "of="+file+".raw").CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", format, err, out)
		}
		content, err := os.ReadFile(file + ".raw")
		if err != nil || !strings.HasPrefix(string(content), text) {
			t.Errorf("%s: the image lacks what the guest has written: %v", format, err)
		}
	}
	l.delete(t, id)
}

// reboot starts a guest anew whose root disk is a volume, and which has an
// encrypted one beside it: both keep what was written. What was written to the
// encrypted one stands nowhere on the host, as it would without encryption.
func (l volumeLab) reboot(t *testing.T, server, address string) {
	ctx := context.Background()
	g := l.c.must(address)
	s := l.demo.server(t, server, "ACTIVE")
	if len(s.Image) != 0 {
		t.Errorf("the server says that its image is %v, want none", s.Image)
	}
	root := ""
	for _, v := range s.AttachedVolumes {
		found, err := volumes.Get(ctx, l.demo.volume, v.ID).Extract()
		if err != nil {
			t.Fatal(err)
		}
		if found.Bootable == "true" {
			root = v.ID
		}
	}
	if root == "" || g.disk(t, root) != "/dev/vda" {
		t.Fatalf("the guest's root is not the bootable volume %q", root)
	}
	const secret, open = "none but the guest may read this", "everybody may read this"
	g.run(t, "echo 'on a volume' | sudo tee /root/mark >/dev/null; sync")
	plain, sealed := l.volume(t, volumes.CreateOpts{Name: "plain"}), l.volume(t, volumes.CreateOpts{Name: "sealed", VolumeType: "encrypted"})
	g.write(t, l.attach(t, server, g, plain), 5, open)
	g.write(t, l.attach(t, server, g, sealed), 5, secret)
	if !l.onHost(t, plain, open) {
		t.Errorf("what was written to a volume that is not encrypted is not in its file: this test finds nothing")
	}
	if l.onHost(t, sealed, secret) {
		t.Errorf("what was written to an encrypted volume is in its file")
	}
	booted := g.uptime(t)
	g.Close()
	err := servers.Reboot(ctx, l.demo.compute, server, servers.RebootOpts{Type: servers.HardReboot}).ExtractErr()
	if err != nil {
		t.Fatal(err)
	}
	l.demo.server(t, server, "ACTIVE")
	g = l.c.must(address)
	defer g.Close()
	if now := g.uptime(t); now >= booted+60 {
		t.Errorf("the guest has been up for %.0f s: it was not started anew", now)
	}
	wantLine(t, "what was written to the root disk", g.run(t, "sudo cat /root/mark"), "on a volume")
	wantLine(t, "what was written to the encrypted volume", g.read(t, g.disk(t, sealed), 5), secret)
	for _, id := range []string{sealed, plain} {
		l.detach(t, server, id)
		l.delete(t, id)
	}
}

// onHost tells whether a text is anywhere in the file of a volume.
func (l volumeLab) onHost(t *testing.T, volume, text string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(l.c.data(), "volumes", volume+".qcow2"))
	if err != nil || len(files) != 1 {
		t.Fatalf("volume %s has the files %v, %v, want one", volume, files, err)
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(content, []byte(text))
}

// shared gives one volume to both guests: each reads what the other has written.
func (l volumeLab) shared(t *testing.T, firstID string, first shell, secondID string, second shell) {
	id := l.volume(t, volumes.CreateOpts{Name: "common", VolumeType: "shared"})
	one, other := l.attach(t, firstID, first, id), l.attach(t, secondID, second, id)
	l.status(t, id, "in-use")
	first.write(t, one, 11, "from the first")
	wantLine(t, "the second guest", second.read(t, other, 11), "from the first")
	second.write(t, other, 900, "from the second")
	wantLine(t, "the first guest", first.read(t, one, 900), "from the second")

	// The one that goes leaves the other undisturbed.
	err := volumeattach.Delete(context.Background(), l.demo.compute, firstID, id).ExtractErr()
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the first guest to have lost it", time.Minute, func() bool {
		v, err := volumes.Get(context.Background(), l.demo.volume, id).Extract()
		return err == nil && len(v.Attachments) == 1 && v.Status == "in-use"
	})
	second.write(t, other, 11, "alone again")
	wantLine(t, "the second guest alone", second.read(t, other, 11), "alone again")
	l.detach(t, secondID, id)
}
