package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"nacre/internal/golden"
	"nacre/internal/testcloud"
)

var (
	someID   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	someTime = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}`)
)

// sameReply compares a reply with a file below testdata: ids are called as they
// are in names, and times are alike.
func sameReply(t *testing.T, name string, r testcloud.Reply, names map[string]string) {
	t.Helper()
	text := someID.ReplaceAllStringFunc(string(r.Body), func(id string) string { return names[id] })
	var pretty bytes.Buffer
	err := json.Indent(&pretty, []byte(someTime.ReplaceAllString(text, "TIME")), "", "  ")
	if err != nil {
		t.Fatalf("%s: %v in %s", name, err, text)
	}
	golden.Compare(t, name+".json", pretty.String()+"\n")
}

// Compute passes calls about volumes and snapshots on to the volume service, whose
// quotas and policy hold for them too.
func TestComputePassesOnToVolumes(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	demo, admin := cloud.Demo(), cloud.Admin()
	ask := func(status int, method, path string, body any) testcloud.Reply {
		t.Helper()
		return demo.Must(t, status, method, "/compute/v2.1"+path, body, "OpenStack-API-Version", "compute 2.35")
	}
	names := map[string]string{}
	made := func(r testcloud.Reply, key, name string) string {
		t.Helper()
		one, _ := r.Map(t)[key].(map[string]any)
		id, _ := one["id"].(string)
		names[id] = name
		return id
	}
	created := ask(200, "POST", "/os-volumes", `{"volume":{"size":"1","display_name":"data","display_description":"of the shop","metadata":{"role":"db"}}}`)
	data := made(created, "volume", "DATA")
	sameReply(t, "compute-volume-create", created, names)
	if !strings.HasSuffix(created.Header.Get("Location"), "/os-volumes/"+data) {
		t.Errorf("the volume is at %q", created.Header.Get("Location"))
	}
	cloud.Settle(t)
	taken := ask(200, "POST", "/os-snapshots", `{"snapshot":{"volume_id":"`+data+`","display_name":"monday"}}`)
	monday := made(taken, "snapshot", "MONDAY")
	sameReply(t, "compute-snapshot-create", taken, names)
	cloud.Settle(t)
	copied := made(ask(200, "POST", "/os-volumes", `{"volume":{"size":2,"snapshot_id":"`+monday+`"}}`), "volume", "COPY")
	cloud.Settle(t)
	server := demo.MustCreateServer(t, "web")
	names[server] = "SERVER"
	ask(200, "POST", "/servers/"+server+"/os-volume_attachments", `{"volumeAttachment":{"volumeId":"`+data+`"}}`)
	cloud.Settle(t)
	ask(400, "POST", "/os-snapshots", `{"snapshot":{"volume_id":"`+data+`"}}`) // a server has it
	tuesday := made(ask(200, "POST", "/os-snapshots", `{"snapshot":{"volume_id":"`+data+`","display_name":"tuesday","force":"True"}}`), "snapshot", "TUESDAY")
	cloud.Settle(t)

	sameReply(t, "compute-volumes", ask(200, "GET", "/os-volumes", nil), names)
	sameReply(t, "compute-volumes", ask(200, "GET", "/os-volumes/detail", nil), names)
	sameReply(t, "compute-volume", ask(200, "GET", "/os-volumes/"+data, nil), names)
	sameReply(t, "compute-snapshots", ask(200, "GET", "/os-snapshots", nil), names)
	sameReply(t, "compute-snapshots", ask(200, "GET", "/os-snapshots/detail", nil), names)
	sameReply(t, "compute-snapshot", ask(200, "GET", "/os-snapshots/"+monday, nil), names)
	for query, want := range map[string]string{
		"": "COPY DATA", "?limit=1": "COPY", "?limit=1&offset=1": "DATA", "?offset=1": "DATA", "?offset=2": "", "?offset=2147483647": "", "?limit=0&color=red": "COPY DATA",
	} {
		var list struct{ Volumes []struct{ ID string } }
		ask(200, "GET", "/os-volumes"+query, nil).JSON(t, &list)
		var got []string
		for _, v := range list.Volumes {
			got = append(got, names[v.ID])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q lists %v, want %s", query, got, want)
		}
	}
	// A list is of one's own project, also an admin's.
	for _, path := range []string{"/os-volumes", "/os-snapshots"} {
		all := admin.Must(t, 200, "GET", "/compute/v2.1"+path, nil, "OpenStack-API-Version", "compute 2.1")
		if someID.Match(all.Body) {
			t.Errorf("%s of an admin without any: %s", path, all.Body)
		}
	}
	admin.Must(t, 200, "GET", "/compute/v2.1/os-volumes/"+data, nil, "OpenStack-API-Version", "compute 2.1")

	badVolumeCalls(t, ask, data)
	var who struct{ Projects []struct{ ID string } }
	admin.Must(t, 200, "GET", "/identity/v3/projects?name=demo", nil).JSON(t, &who)
	admin.Must(t, 200, "PUT", "/volume/v3/os-quota-sets/"+who.Projects[0].ID, `{"quota_set":{"volumes":2,"snapshots":2}}`)
	full := ask(403, "POST", "/os-volumes", `{"volume":{"size":1}}`)
	if !strings.Contains(string(full.Body), "Maximum number of volumes allowed (2) exceeded") {
		t.Errorf("a full quota says %s", full.Body)
	}
	ask(403, "POST", "/os-snapshots", `{"snapshot":{"volume_id":"`+copied+`"}}`)

	ask(202, "DELETE", "/os-snapshots/"+monday, nil)
	ask(202, "DELETE", "/os-snapshots/"+tuesday, nil)
	ask(202, "DELETE", "/os-volumes/"+copied, nil)
	cloud.Settle(t)
	ask(404, "GET", "/os-snapshots/"+monday, nil)
	ask(404, "GET", "/os-volumes/"+copied, nil)
}

func badVolumeCalls(t *testing.T, ask func(int, string, string, any) testcloud.Reply, volume string) {
	const unknown = "99999999-9999-4999-8999-999999999999"
	long := strings.Repeat("x", 256)
	for _, test := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/os-volumes/" + unknown, "", 404, "Volume " + unknown + " could not be found."},
		{"GET", "/os-volumes/x", "", 404, "Volume x could not be found."},
		{"DELETE", "/os-volumes/" + unknown, "", 404, "could not be found."},
		{"GET", "/os-volumes/", "", 404, ""},
		{"DELETE", "/os-volumes/", "", 404, ""},
		{"DELETE", "/os-volumes/" + volume, "", 400, "must not be migrating, attached"},
		{"GET", "/os-volumes?limit=-1", "", 400, "Invalid input for query parameters limit. Value: -1."},
		{"GET", "/os-volumes?offset=x", "", 400, "Invalid input for query parameters offset. Value: x."},
		{"GET", "/os-snapshots/detail?offset=99999999999", "", 400, "Invalid input for query parameters offset."},
		{"POST", "/os-volumes", `{"volume":{}}`, 400, "'size' is a required property"},
		{"POST", "/os-volumes", `{"volume":{"size":0}}`, 400, "0 is less than the minimum of 1"},
		{"POST", "/os-volumes", `{"volume":{"size":"0"}}`, 400, "0 is less than the minimum of 1"},
		{"POST", "/os-volumes", `{"volume":{"size":""}}`, 400, "''"},
		{"POST", "/os-volumes", `{"volume":{"size":"#$%"}}`, 400, "'#$%' does not match"},
		{"POST", "/os-volumes", `{"volume":{"size":"99999999999999999999"}}`, 400, ""},
		{"POST", "/os-volumes", `{"volume":{"size":1,"display_name":"` + long + `"}}`, 400, "is too long"},
		{"POST", "/os-volumes", `{"volume":{"size":1,"display_name":null}}`, 400, "None is not of type 'string'"},
		{"POST", "/os-volumes", `{"volume":{"size":1,"imageRef":"x"}}`, 400, "Additional properties are not allowed ('imageRef' was unexpected)"},
		{"POST", "/os-volumes", `{"volume":{"size":1,"metadata":{"a":1}}}`, 400, "1 is not of type 'string'"},
		{"POST", "/os-volumes", `{"volume":{"size":1,"availability_zone":"moon"}}`, 400, "Availability zone 'moon' is invalid."},
		{"POST", "/os-volumes", `{"volume":{"size":1,"snapshot_id":"` + unknown + `"}}`, 404, "Snapshot " + unknown + " could not be found."},
		{"POST", "/os-volumes", `{"volume":{"size":1,"volume_type":"none"}}`, 404, "none"},
		{"GET", "/os-snapshots/" + unknown, "", 404, "Snapshot " + unknown + " could not be found."},
		{"DELETE", "/os-snapshots/" + unknown, "", 404, "could not be found."},
		{"POST", "/os-snapshots", `{"snapshot":{}}`, 400, "'volume_id' is a required property"},
		{"POST", "/os-snapshots", `{"snapshot":{"volume_id":7}}`, 400, "7 is not of type 'string'"},
		{"POST", "/os-snapshots", `{"snapshot":{"volume_id":"` + unknown + `"}}`, 404, "Volume " + unknown + " could not be found."},
		{"POST", "/os-snapshots", `{"snapshot":{"volume_id":"` + volume + `","force":"maybe"}}`, 400, "'maybe'"},
		{"POST", "/os-snapshots", `{"snapshot":{"volume_id":"` + volume + `","name":"x"}}`, 400, "Additional properties are not allowed ('name' was unexpected)"},
	} {
		t.Run(fmt.Sprint(test.method, " ", test.path, " ", test.body[:min(60, len(test.body))]), func(t *testing.T) {
			var body any
			if test.body != "" {
				body = test.body
			}
			r := ask(test.status, test.method, test.path, body)
			if !strings.Contains(string(r.Body), test.says) {
				t.Errorf("got %s, want %q", r.Body, test.says)
			}
		})
	}
}

// What one has is not there for others, and the calls end with 2.35.
func TestComputePassesOnOwnVolumes(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	admin, demo := cloud.Admin(), cloud.Demo()
	var made struct{ Volume struct{ ID string } }
	old := []string{"OpenStack-API-Version", "compute 2.35"}
	admin.Must(t, 200, "POST", "/compute/v2.1/os-volumes", `{"volume":{"size":1}}`, old...).JSON(t, &made)
	cloud.Settle(t)
	demo.Must(t, 404, "GET", "/compute/v2.1/os-volumes/"+made.Volume.ID, nil, old...)
	demo.Must(t, 404, "DELETE", "/compute/v2.1/os-volumes/"+made.Volume.ID, nil, old...)
	demo.Must(t, 404, "POST", "/compute/v2.1/os-snapshots", `{"snapshot":{"volume_id":"`+made.Volume.ID+`"}}`, old...)
	for _, path := range []string{"/os-volumes", "/os-volumes/detail", "/os-snapshots", "/os-snapshots/detail", "/os-volumes/" + made.Volume.ID} {
		admin.Must(t, 404, "GET", "/compute/v2.1"+path, nil, "OpenStack-API-Version", "compute 2.36")
	}
}
