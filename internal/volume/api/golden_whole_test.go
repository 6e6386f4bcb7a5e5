package api_test

import (
	"bytes"
	"regexp"
	"testing"

	"nacre/internal/testcloud"
)

// whole is a cloud with what backups and keys need: an object store and a seal.
type whole struct {
	*testcloud.Cloud
	golden func(name string, r testcloud.Reply)
}

// hexes are ids of projects and users.
var hexes = regexp.MustCompile(`\b[0-9a-f]{32}\b`)

func startWhole(t *testing.T) whole {
	t.Helper()
	c := testcloud.Start(t, testcloud.Nodes(1))
	return whole{c, func(name string, r testcloud.Reply) {
		t.Helper()
		(&cloud{t: t}).golden(name, reply{r.Status, r.Header, hexes.ReplaceAll(r.Body, []byte("HEX"))})
	}}
}

func TestGoldenBackups(t *testing.T) {
	t.Parallel()
	c := startWhole(t)
	demo, admin := c.Demo(), c.Admin()
	const path = "/volume/v3/backups"
	at := func(version string) []string { return []string{"OpenStack-API-Version", "volume " + version} }
	volume := demo.CreateVolume(t, "data", 1)
	c.Settle(t)
	var made struct{ Backup struct{ ID string } }
	create := func(name, extra string) string {
		t.Helper()
		r := demo.Must(t, 202, "POST", path, `{"backup":{"volume_id":"`+volume+`","name":"`+name+`"`+extra+`}}`, at("3.70")...)
		r.JSON(t, &made)
		if extra == "" {
			c.golden("backup_created", r)
		}
		c.Settle(t)
		return made.Backup.ID
	}
	full := create("full", "")
	more := create("more", `,"incremental":true,"metadata":{"k":"v"},"description":"d"`)
	c.golden("backup_3.0", demo.Must(t, 200, "GET", path+"/"+full, nil, at("3.0")...))
	c.golden("backup_3.70", demo.Must(t, 200, "GET", path+"/"+more, nil, at("3.70")...))
	c.golden("backup_admin_3.70", admin.Must(t, 200, "GET", path+"/"+more, nil, at("3.70")...))
	c.golden("backups", demo.Must(t, 200, "GET", path, nil, at("3.0")...))
	c.golden("backups_detail", demo.Must(t, 200, "GET", path+"/detail?sort=name:asc&with_count=true&limit=1", nil, at("3.70")...))
	c.golden("backup_updated", demo.Must(t, 200, "PUT", path+"/"+full, `{"backup":{"name":"whole","description":"d"}}`, at("3.70")...))
	c.golden("backup_restored", demo.Must(t, 202, "POST", path+"/"+more+"/restore", `{"restore":{"name":"again"}}`))
	c.Settle(t)
}

func TestGoldenEncryption(t *testing.T) {
	t.Parallel()
	c := startWhole(t)
	admin := c.Admin()
	var kind struct {
		Type struct{ ID string } `json:"volume_type"`
	}
	admin.Must(t, 200, "POST", "/volume/v3/types", `{"volume_type":{"name":"sealed"}}`).JSON(t, &kind)
	path := "/volume/v3/types/" + kind.Type.ID + "/encryption"
	c.golden("encryption_none", admin.Must(t, 200, "GET", path, nil))
	made := admin.Must(t, 200, "POST", path, `{"encryption":{"provider":"someone","control_location":"back-end","cipher":"aes-xts-plain64","key_size":128}}`)
	c.golden("encryption_created", made)
	var encryption struct {
		Encryption struct {
			ID string `json:"encryption_id"`
		}
	}
	made.JSON(t, &encryption)
	one := path + "/" + encryption.Encryption.ID
	r := admin.Do(t, "POST", "/volume/v3/volumes", `{"volume":{"size":1,"volume_type":"sealed"}}`)
	if r.Status != 400 {
		t.Errorf("a volume of a type that nobody can make: got %d %s, want 400", r.Status, r.Body)
	}
	c.golden("encryption_updated", admin.Must(t, 200, "PUT", one, `{"encryption":{"provider":"luks","control_location":"front-end","key_size":256}}`))
	c.golden("encryption", admin.Must(t, 200, "GET", path, nil))
	c.golden("encryption_item", admin.Must(t, 200, "GET", path+"/cipher", nil))

	demo := c.Demo()
	var v struct{ Volume struct{ ID string } }
	demo.Must(t, 202, "POST", "/volume/v3/volumes", `{"volume":{"size":1,"volume_type":"sealed"}}`).JSON(t, &v)
	c.Settle(t)
	c.golden("volume_encryption", demo.Must(t, 200, "GET", "/volume/v3/volumes/"+v.Volume.ID+"/encryption", nil))
	r = admin.Do(t, "POST", "/volume/v3/volumes/"+v.Volume.ID+"/action", `{"os-unmanage":{}}`)
	if r.Status != 400 || !bytes.Contains(r.Body, []byte("Unmanaging encrypted volumes is not supported")) {
		t.Errorf("unmanage an encrypted volume: got %d %s, want 400", r.Status, r.Body)
	}
	for _, method := range []string{"PUT", "DELETE"} {
		r = admin.Do(t, method, one, `{"encryption":{"cipher":"x"}}`)
		if r.Status != 400 {
			t.Errorf("%s the encryption of a type in use: got %d %s, want 400", method, r.Status, r.Body)
		}
	}
	demo.Must(t, 202, "DELETE", "/volume/v3/volumes/"+v.Volume.ID, nil)
	c.Settle(t)
	admin.Must(t, 202, "DELETE", path+"/provider", nil)
	admin.Must(t, 404, "DELETE", one, nil)
}
