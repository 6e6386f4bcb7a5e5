package api_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// A list of attachments is cut by limit and offset, at every version.
func TestPartsOfAttachments(t *testing.T) {
	t.Parallel()
	c := start(t, options{hosts: 1})
	id := withVolumes(c)
	c.status(id, "ACTIVE")
	path := "/servers/" + id + "/os-volume_attachments"
	c.must(200, "demo", "POST", path, `{"volumeAttachment":{"volumeId":"`+volumeID2+`"}}`)
	for _, who := range []string{"demo", "demo@2.75"} {
		all := c.must(200, who, "GET", path, "").at(t, "volumeAttachments").([]any)
		if len(all) != 2 {
			t.Fatalf("the server has %v, want two", all)
		}
		for query, want := range map[string][]any{
			"limit=1": all[:1], "offset=1": all[1:], "limit=1&offset=1": all[1:], "limit=0": all, "limit=5000": all, "offset=9": {},
			"offset=2147483647&limit=2147483647": {},
		} {
			got := c.must(200, who, "GET", path+"?"+query, "").at(t, "volumeAttachments")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s by %s (-want +got):\n%s", query, who, diff)
			}
		}
	}
	for _, query := range []string{"limit=-1", "offset=-1", "limit=x", "offset=x"} {
		c.must(400, "demo", "GET", path+"?"+query, "")
	}
}

// A disk of which a request says that it is not there is not attached; to say that it is
// not so says nothing.
func TestAbsentDisks(t *testing.T) {
	t.Parallel()
	c := start(t, options{hosts: 1})
	image := `{"source_type":"image","destination_type":"local","uuid":"` + imageID + `","boot_index":0}`
	for more, want := range map[string]int{
		`"block_device_mapping":[{"volume_id":"` + volumeID + `","device_name":"vdb","no_device":true}]`:                                            0,
		`"block_device_mapping":[{"device_name":"vdb","no_device":"yes"}]`:                                                                          0,
		`"block_device_mapping":[{"volume_id":"` + volumeID + `","device_name":"vdb","no_device":false}]`:                                           1,
		`"block_device_mapping_v2":[` + image + `,{"no_device":true,"device_name":"vdb"}]`:                                                          0,
		`"block_device_mapping_v2":[` + image + `,{"source_type":"volume","destination_type":"volume","uuid":"` + volumeID + `","no_device":true}]`: 0,
		`"block_device_mapping_v2":[` + image + `,{"source_type":"volume","destination_type":"volume","uuid":"` + volumeID2 + `","no_device":""}]`:  1,
	} {
		id := c.active("web", ","+more)
		list := c.must(200, "demo", "GET", "/servers/"+id+"/os-volume_attachments", "").at(t, "volumeAttachments").([]any)
		if len(list) != want {
			t.Errorf("%s: the server has %v, want %d", more, list, want)
		}
	}
}
