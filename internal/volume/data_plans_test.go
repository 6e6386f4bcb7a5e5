package volume_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"nacre/internal/blockdev"
	"nacre/internal/nbd"
	"nacre/internal/volume"
	"nacre/internal/work/worktest"
)

// write puts bytes on a volume that nobody has.
func (r *rig) write(t *testing.T, id, text string) {
	t.Helper()
	r.open(t, id, true, func(c *nbd.Client) {
		_, err := c.WriteAt([]byte(text), 5<<20)
		must(t, err)
		must(t, c.Flush())
	})
}

func (r *rig) read(t *testing.T, id string) string {
	t.Helper()
	bytes := make([]byte, 6)
	r.open(t, id, false, func(c *nbd.Client) {
		_, err := c.ReadAt(bytes, 5<<20)
		must(t, err)
	})
	return string(bytes)
}

func (r *rig) open(t *testing.T, id string, write bool, use func(c *nbd.Client)) {
	t.Helper()
	conn, err := r.disks.Open(r.ctx, id, write)
	must(t, err)
	c, err := nbd.Connect(conn, blockdev.Opened)
	must(t, err)
	use(c)
	must(t, c.Close())
}

func (r *rig) backup(t *testing.T, of string, change ...func(*volume.NewBackup)) string {
	t.Helper()
	in := volume.NewBackup{Volume: of}
	for _, do := range change {
		do(&in)
	}
	b, err := r.service.CreateBackup(r.ctx, r.who, in)
	must(t, err)
	return b.ID
}

// attach gives the volume to a host, as a client of attachments does.
func (r *rig) attach(t *testing.T, id string) {
	t.Helper()
	a, err := r.service.CreateAttachment(r.ctx, r.who, id, "", "rw", json.RawMessage(`{"host":"h"}`))
	must(t, err)
	must(t, r.service.CompleteAttachment(r.ctx, r.who, a.ID))
	r.settle(t)
}

var backupUsed = []string{"backup_gigabytes 2", "backups 1", "gigabytes 2", "gigabytes_" + kind + " 2", "volumes 1", "volumes_" + kind + " 1"}

func TestBackupPlan(t *testing.T) {
	t.Parallel()
	for name, inUse := range map[string]bool{"free": false, "in use": true} {
		t.Run(name, func(t *testing.T) {
			worktest.Exercise(t, func(t *testing.T) worktest.Case {
				r := startRig(t)
				id := r.volume(t)
				r.write(t, id, "before")
				if inUse {
					r.attach(t, id)
				}
				return r.newCase("backup.create", func(t *testing.T) {
					r.backup(t, id, func(in *volume.NewBackup) { in.Force = true })
				}, func(w *world) {
					w.Backups, w.Used = []string{"id-2 error 2 of id-1"}, backupUsed
					if inUse {
						w.Backups = []string{"id-3 error 2 of id-1"}
					}
				})
			})
		})
	}
}

func TestDeleteBackupPlan(t *testing.T) {
	t.Parallel()
	worktest.Exercise(t, func(t *testing.T) worktest.Case {
		r := startRig(t)
		id := r.volume(t)
		r.write(t, id, "before")
		backup := r.backup(t, id)
		r.finish(t)
		return r.newCase("backup.delete", func(t *testing.T) {
			must(t, r.service.DeleteBackup(r.ctx, r.who, backup, false))
		}, func(w *world) { w.Backups = []string{backup + " error_deleting 2 of " + id} })
	})
}

func TestRestorePlan(t *testing.T) {
	t.Parallel()
	worktest.Exercise(t, func(t *testing.T) worktest.Case {
		r := startRig(t)
		id := r.volume(t)
		r.write(t, id, "before")
		backup := r.backup(t, id)
		r.finish(t)
		return r.newCase("backup.restore", func(t *testing.T) {
			_, _, err := r.service.RestoreBackup(r.ctx, r.who, backup, id, "")
			must(t, err)
		}, func(w *world) { w.Volumes = []string{id + " error_restoring 2 on h"} })
	})
}

func TestImportBackupPlan(t *testing.T) {
	t.Parallel()
	const imported = "aaaaaaaa-2222-4333-8444-555555555555"
	worktest.Exercise(t, func(t *testing.T) worktest.Case {
		r := startRig(t)
		id := r.volume(t)
		r.write(t, id, "before")
		backup := r.backup(t, id)
		r.finish(t)
		url := r.record(t, backup, map[string]any{"id": imported, "volume_id": imported})
		return r.newCase("backup.import", func(t *testing.T) {
			_, err := r.service.ImportBackup(r.ctx, r.who, volume.BackupService, url)
			must(t, err)
		}, func(w *world) {
			w.Backups = append([]string{imported + " error 2 of " + imported}, w.Backups...)
			w.Used = append([]string{"backup_gigabytes 4", "backups 2"}, w.Used[2:]...)
		})
	})
}

// record is the exported record of a backup with some things changed.
func (r *rig) record(t *testing.T, backup string, changes map[string]any) string {
	t.Helper()
	url, err := r.service.ExportBackup(r.ctx, r.who, backup)
	must(t, err)
	text, err := base64.StdEncoding.DecodeString(url)
	must(t, err)
	fields := map[string]any{}
	must(t, json.Unmarshal(text, &fields))
	for key, value := range changes {
		fields[key] = value
	}
	text, err = json.Marshal(fields)
	must(t, err)
	return base64.StdEncoding.EncodeToString(text)
}

func TestUploadPlan(t *testing.T) {
	t.Parallel()
	worktest.Exercise(t, func(t *testing.T) worktest.Case {
		r := startRig(t)
		id := r.volume(t)
		r.write(t, id, "before")
		r.attach(t, id)
		return r.newCase("volume.upload", func(t *testing.T) {
			_, err := r.service.UploadVolume(r.ctx, r.who, id, volume.NewImage{Name: "i", DiskFormat: "qcow2"}, true)
			must(t, err)
		}, func(*world) {})
	})
}

func TestRevertPlan(t *testing.T) {
	t.Parallel()
	worktest.Exercise(t, func(t *testing.T) worktest.Case {
		r := startRig(t)
		id := r.volume(t)
		snapshot := r.snapshot(t, id)
		r.finish(t)
		return r.newCase("volume.revert", func(t *testing.T) {
			must(t, r.service.Revert(r.ctx, r.who, id, snapshot))
		}, func(w *world) { w.Volumes = []string{id + " error 2 on h"} })
	})
}

func TestReimagePlan(t *testing.T) {
	t.Parallel()
	worktest.Exercise(t, func(t *testing.T) worktest.Case {
		r := startRig(t)
		id := r.volume(t)
		return r.newCase("volume.reimage", func(t *testing.T) {
			must(t, r.service.Reimage(r.ctx, r.who, id, anImage, false))
		}, func(w *world) { w.Volumes = []string{id + " error 2 on h"} })
	})
}

// What is on a volume goes into backups, whole and added to, and comes back,
// from each of them, into the volume and into new ones.
func TestBackupsKeepBytes(t *testing.T) {
	t.Parallel()
	r := startRig(t)
	id := r.volume(t)
	r.write(t, id, "first!")
	whole := r.backup(t, id)
	r.finish(t)
	r.open(t, id, true, func(c *nbd.Client) {
		_, err := c.WriteAt([]byte("apart"), 1<<30)
		must(t, err)
	})
	objects := len(r.objects.names())
	added := r.backup(t, id, func(in *volume.NewBackup) { in.Incremental = true })
	r.finish(t)
	if got := len(r.objects.names()) - objects; got != 2 {
		t.Errorf("the second backup has %d objects, want the chunk that changed and a manifest", got)
	}
	r.write(t, id, "second")
	snapshot := r.snapshot(t, id)
	r.finish(t)
	r.write(t, id, "third!")
	r.attach(t, id)
	frozen := r.backup(t, id, func(in *volume.NewBackup) { in.Incremental, in.Force = true, true })
	r.finish(t)
	ofSnapshot := r.backup(t, id, func(in *volume.NewBackup) { in.Snapshot = snapshot })
	r.finish(t)

	for backup, want := range map[string]string{whole: "first!", added: "first!", frozen: "third!", ofSnapshot: "second"} {
		_, v, err := r.service.RestoreBackup(r.ctx, r.who, backup, "", "back")
		must(t, err)
		r.finish(t)
		if got := r.read(t, v.ID); got != want {
			t.Errorf("backup %s restored %q, want %q", backup, got, want)
		}
	}
	v, err := r.service.CreateVolume(r.ctx, r.who, volume.NewVolume{Backup: added, SizeGB: 3})
	must(t, err)
	r.finish(t)
	r.open(t, v.ID, false, func(c *nbd.Client) {
		bytes := make([]byte, 5)
		_, err := c.ReadAt(bytes, 1<<30)
		must(t, err)
		if string(bytes) != "apart" || c.Size() != 3<<30 {
			t.Errorf("a volume of the backup has %q of %d bytes, want what the backup added and 3 GiB", bytes, c.Size())
		}
	})
	err = r.service.DeleteBackup(r.ctx, r.who, whole, false)
	if err == nil {
		t.Error("a backup that others add to was deleted")
	}
	for _, backup := range []string{ofSnapshot, frozen, added, whole} {
		must(t, r.service.DeleteBackup(r.ctx, r.who, backup, false))
		r.finish(t)
	}
	if left := r.objects.names(); len(left) > 0 {
		t.Errorf("deleted backups leave %v", left)
	}
}

// Whatever happens to the objects, a restored volume never has other bytes than
// those backed up and yet looks well.
func TestDamagedBackups(t *testing.T) {
	t.Parallel()
	r := startRig(t)
	id := r.volume(t)
	r.write(t, id, "first!")
	backup := r.backup(t, id)
	r.finish(t)
	good := map[string]object{}
	for _, name := range r.objects.names() {
		good[name] = r.objects.kept[name]
	}
	for _, name := range r.objects.names() {
		for what, text := range map[string]string{
			"gone": "", "cut": good[name].text[:len(good[name].text)/2], "other": "something else", "twice": good[name].text + good[name].text,
		} {
			r.objects.kept[name] = object{good[name].mark, text}
			if what == "gone" {
				delete(r.objects.kept, name)
			}
			_, v, err := r.service.RestoreBackup(r.ctx, r.who, backup, "", "")
			must(t, err)
			r.finish(t)
			v, err = r.service.Volume(r.ctx, r.who, v.ID)
			must(t, err)
			b, err := r.service.Backup(r.ctx, r.who, backup)
			must(t, err)
			if v.Status != volume.ErrorRestoring || b.Status != volume.Available {
				t.Errorf("%s %s: the volume is %s, the backup %s", name, what, v.Status, b.Status)
			}
			must(t, r.service.DeleteVolume(r.ctx, r.who, v.ID, false, true))
			r.finish(t)
			r.objects.kept[name] = good[name]
		}
	}
}

// Records come from outside: what they say leads to nothing but backups.
func TestHostileRecords(t *testing.T) {
	t.Parallel()
	r := startRig(t)
	id := r.volume(t)
	r.write(t, id, "first!")
	backup := r.backup(t, id)
	r.finish(t)
	fine := map[string]any{"id": anImage, "volume_id": anImage}
	for name, change := range map[string]map[string]any{
		"no id":                  {"id": ""},
		"an id that is a path":   {"id": "../../etc/passwd"},
		"other objects":          {"service_metadata": "secrets/of"},
		"a prefix of everything": {"service_metadata": ""},
		"a container in another": {"container": "a/b"},
		"no container":           {"container": ""},
		"another account":        {"project_id": "p/../q"},
		"another project":        {"project_id": "q"},
		"a negative size":        {"size": -1},
		"an endless size":        {"size": int64(1) << 60},
		"a list for a size":      {"size": []int{1}},
		"a parent elsewhere":     {"parent_id": "../x"},
	} {
		all := map[string]any{}
		for key, value := range fine {
			all[key] = value
		}
		for key, value := range change {
			all[key] = value
		}
		_, err := r.service.ImportBackup(r.ctx, r.who, volume.BackupService, r.record(t, backup, all))
		if err == nil {
			t.Errorf("%s: it was imported", name)
		}
	}
	for _, url := range []string{"", "%%%", base64.StdEncoding.EncodeToString([]byte("[]")), base64.StdEncoding.EncodeToString([]byte(`{"id":`))} {
		_, err := r.service.ImportBackup(r.ctx, r.who, volume.BackupService, url)
		if err == nil {
			t.Errorf("the record %q was imported", url)
		}
	}
	_, err := r.service.ImportBackup(r.ctx, r.who, "cinder.backup.drivers.evil", r.record(t, backup, fine))
	if err == nil {
		t.Error("a record of another service was imported")
	}
	// One that is well-formed and leads nowhere ends in error, and says why.
	all := map[string]any{"service_metadata": "volume_x/20260101000000/az_nova_backup_y"}
	for key, value := range fine {
		all[key] = value
	}
	b, err := r.service.ImportBackup(r.ctx, r.who, volume.BackupService, r.record(t, backup, all))
	must(t, err)
	r.finish(t)
	b, err = r.service.Backup(r.ctx, r.who, b.ID)
	must(t, err)
	if b.Status != volume.Failed || b.FailReason == "" {
		t.Errorf("a record that leads nowhere is %s for the reason %q", b.Status, b.FailReason)
	}
}

// Reverting gives the bytes of the newest snapshot, once.
func TestRevertBytes(t *testing.T) {
	t.Parallel()
	r := startRig(t)
	id := r.volume(t)
	r.write(t, id, "first!")
	older := r.snapshot(t, id)
	r.finish(t)
	newest := r.snapshot(t, id)
	r.finish(t)
	for range 2 {
		r.write(t, id, "second")
		must(t, r.service.Revert(r.ctx, r.who, id, newest))
		r.finish(t)
		if got := r.read(t, id); got != "first!" {
			t.Errorf("got %q, want what the snapshot has", got)
		}
	}
	err := r.service.Revert(r.ctx, r.who, id, older)
	if err == nil {
		t.Error("the volume was reverted to a snapshot that is not its newest")
	}
	r.write(t, id, "second")
	r.attach(t, id)
	list, err := r.disks.List(r.ctx)
	must(t, err)
	if !list[0].Exported {
		t.Errorf("got %+v, want it exported", list[0])
	}
}

// What is on an encrypted volume is not to be read from its backup, and comes back
// all the same, into encrypted volumes alone.
func TestBackupOfEncrypted(t *testing.T) {
	t.Parallel()
	r := startRig(t)
	open := r.volume(t)
	kind, err := r.service.CreateType(r.ctx, "secret", "", true, nil)
	must(t, err)
	_, err = r.service.CreateEncryption(r.ctx, volume.Encryption{Type: kind.ID, Provider: "luks", ControlLocation: "front-end"})
	must(t, err)
	v, err := r.service.CreateVolume(r.ctx, r.who, volume.NewVolume{SizeGB: 2, Type: "secret"})
	must(t, err)
	r.finish(t)
	if v.Key == "" {
		t.Fatal("the volume has no key")
	}
	r.write(t, v.ID, "secret")
	plain := r.backup(t, open)
	backup := r.backup(t, v.ID)
	r.finish(t)
	for name, o := range r.objects.kept {
		if len(o.text) > 2 && o.text[:2] == "\x1f\x8b" {
			t.Errorf("object %s is compressed and not encrypted", name)
		}
	}
	_, back, err := r.service.RestoreBackup(r.ctx, r.who, backup, "", "")
	must(t, err)
	r.finish(t)
	back, err = r.service.Volume(r.ctx, r.who, back.ID)
	must(t, err)
	if got := r.read(t, back.ID); got != "secret" || back.Key == "" || back.Status != volume.Available {
		t.Errorf("restored %q to a volume with the key %q, which is %s", got, back.Key, back.Status)
	}
	_, _, err = r.service.RestoreBackup(r.ctx, r.who, backup, open, "")
	must(t, err)
	r.finish(t)
	leak, err := r.service.Volume(r.ctx, r.who, open)
	must(t, err)
	if leak.Status != volume.ErrorRestoring {
		t.Errorf("the backup of an encrypted volume was restored to one that is not: it is %s", leak.Status)
	}
	_, err = r.service.ExportBackup(r.ctx, r.who, plain)
	must(t, err)
	_, err = r.service.ExportBackup(r.ctx, r.who, backup)
	if err == nil {
		t.Error("the record of an encrypted backup was exported without its key")
	}
	err = r.service.DeleteEncryption(r.ctx, kind.ID)
	if err == nil {
		t.Error("a type with volumes lost its encryption")
	}
	clone, err := r.service.CreateVolume(r.ctx, r.who, volume.NewVolume{Source: v.ID})
	must(t, err)
	r.finish(t)
	if clone.Key != v.Key {
		t.Errorf("the copy has the key %q, want its source's %q", clone.Key, v.Key)
	}
	_, err = r.service.CreateVolume(r.ctx, r.who, volume.NewVolume{Source: open, Type: "secret"})
	if err == nil {
		t.Error("an encrypted volume was made of one that is not")
	}
	// A host is told the keys of what it has.
	for host, want := range map[string]bool{"h": true, "elsewhere": false} {
		reply, err := r.service.KeyFor(r.ctx, host, v.ID)
		if want != (err == nil && len(reply) == 64) {
			t.Errorf("host %s: got a key of %d characters, %v", host, len(reply), err)
		}
	}
}
