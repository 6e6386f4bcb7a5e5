package api_test

import (
	"strings"
	"testing"

	"nacre/internal/db"
)

// Volumes that several servers may have are for clients that know of them.
func TestSharedVolumes(t *testing.T) {
	t.Parallel()
	c := start(t, options{hosts: 1})
	id := c.active("web", "")
	err := c.db.Write(c.ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(c.ctx, "UPDATE test_volumes SET writers = 2")
		return err
	})
	check(t, err)
	attach := `{"volumeAttachment":{"volumeId":"` + volumeID + `"}}`
	create := `{"server":{"name":"s","flavorRef":"1","networks":"none","block_device_mapping_v2":[
		{"boot_index":0,"source_type":"volume","destination_type":"volume","uuid":"` + volumeID2 + `"}]}}`
	for path, body := range map[string]string{"/servers/" + id + "/os-volume_attachments": attach, "/servers": create} {
		r := c.must(400, "demo@2.59", "POST", path, body)
		if !strings.Contains(string(r.body), "Multiattach volumes are only supported starting with compute API version 2.60.") {
			t.Errorf("POST %s at 2.59: got %s", path, r.body)
		}
		if r = c.as("demo@2.60", "POST", path, body); r.status >= 300 {
			t.Errorf("POST %s at 2.60: got %d %s", path, r.status, r.body)
		}
	}
}
