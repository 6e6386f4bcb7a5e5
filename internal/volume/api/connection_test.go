package api_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/db"
)

// What a client is to keep of a type's QoS specs is in the connection, worked
// out for the volume's size, as it was when the attachment was connected.
func TestQosOfConnections(t *testing.T) {
	c := start(t, 1)
	for _, row := range []struct {
		specs string
		want  any
		limit map[string]int64
	}{
		{`"consumer":"front-end","total_iops_sec_per_gb":"10","total_iops_sec_per_gb_min":"50","other":"x"`,
			map[string]any{"total_iops_sec": "50", "other": "x"}, map[string]int64{"total_iops_sec": 50}},
		{`"consumer":"both","read_bytes_sec_per_gb":"1000","read_bytes_sec_max":"2500","write_bytes_sec":"7","write_bytes_sec_max":"9"`,
			map[string]any{"read_bytes_sec": "2500", "write_bytes_sec": "7", "write_bytes_sec_max": "9"},
			map[string]int64{"read_bytes_sec": 2500, "write_bytes_sec": 7, "write_bytes_sec_max": 9}},
		{`"consumer":"back-end","total_iops_sec":"10"`, nil, nil},
	} {
		qos := c.make(200, "admin", "/volume/v3/qos-specs", "qos_specs", `"name":"q",`+row.specs)
		kind := c.make(200, "admin", "/volume/v3/types", "volume_type", `"name":"limited"`)
		c.must(202, "admin", "GET", "/volume/v3/qos-specs/"+qos+"/associate?vol_type_id="+kind, "")
		id := c.create(`"size":3,"volume_type":"limited"`)
		attachment := c.make(200, "demo", base+"/attachments", "attachment",
			`"volume_uuid":"`+id+`","instance_uuid":"bbbbbbbb-0000-4000-8000-000000000001","connector":{"host":"node-1"}`)
		c.must(202, "admin", "GET", "/volume/v3/qos-specs/"+qos+"/disassociate_all", "")
		info := at(c.must(200, "demo", "GET", base+"/attachments/"+attachment, ""), "attachment", "connection_info")
		if diff := cmp.Diff(row.want, at(info, "qos_specs")); diff != "" || at(info, "encrypted") != false {
			t.Errorf("%s: connection_info is %v (-want +got):\n%s", row.specs, info, diff)
		}
		var limits map[string]int64
		err := c.db.Write(c.ctx, func(tx *db.Tx) (err error) {
			_, limits, err = c.service.Connect(c.ctx, tx, attachment, "node-1", "/dev/vdb")
			return err
		})
		if diff := cmp.Diff(row.limit, limits); diff != "" || err != nil {
			t.Errorf("%s: limits %v (-want +got):\n%s", row.specs, err, diff)
		}
		c.must(200, "demo", "DELETE", base+"/attachments/"+attachment, "")
		c.must(202, "demo", "DELETE", base+"/volumes/"+id, "")
		c.await(id, "")
		c.must(202, "admin", "DELETE", "/volume/v3/types/"+kind, "")
		c.must(202, "admin", "DELETE", "/volume/v3/qos-specs/"+qos, "")
	}
	qos := c.make(200, "admin", "/volume/v3/qos-specs", "qos_specs", `"name":"odd","consumer":"front-end","total_iops_sec_per_gb":"many"`)
	kind := c.make(200, "admin", "/volume/v3/types", "volume_type", `"name":"odd"`)
	c.must(202, "admin", "GET", "/volume/v3/qos-specs/"+qos+"/associate?vol_type_id="+kind, "")
	c.refuse(400, "demo", "POST", base+"/attachments", `{"attachment":{"volume_uuid":"`+c.create(`"size":1,"volume_type":"odd"`)+
		`","instance_uuid":"bbbbbbbb-0000-4000-8000-000000000001","connector":{"host":"node-1"}}}`, "must be a whole number")
}
