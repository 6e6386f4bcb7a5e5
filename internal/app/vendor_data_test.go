package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Wrong settings of vendor data are found at start, and named.
func TestVendorDataSettings(t *testing.T) {
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		err := os.WriteFile(path, []byte(text), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, test := range []struct {
		why  string
		v    VendorData
		want string
	}{
		{"a name twice", VendorData{Targets: "a@http://x/,a@http://y/"}, "vendordata_dynamic_targets"},
		{"no name", VendorData{Targets: "http://x/"}, "vendordata_dynamic_targets"},
		{"the name of static data", VendorData{Targets: "static@http://x/"}, "vendordata_dynamic_targets"},
		{"no URL", VendorData{Targets: "a@ldap://x/"}, "vendordata_dynamic_targets"},
		{"too many", VendorData{Targets: strings.Repeat("a@http://x/,", 9)}, "more than 8"},
		{"a password of nobody", VendorData{Password: "x"}, "vendordata_dynamic_auth_username"},
		{"a user of no project", VendorData{User: "x", Password: "x"}, "vendordata_dynamic_auth_project_name"},
		{"no time", VendorData{ReadTimeout: -1}, "vendordata_dynamic_read_timeout"},
		{"no file", VendorData{File: "/nothing"}, "vendordata_jsonfile_path"},
		{"no JSON", VendorData{File: file("x.json", "{")}, "not JSON"},
		{"much JSON", VendorData{File: file("x.json", `"`+strings.Repeat("x", 64<<10)+`"`)}, "more than"},
		{"no certificate", VendorData{CertFile: file("ca.pem", "x")}, "vendordata_dynamic_ssl_certfile"},
	} {
		_, err := test.v.source(slog.Default(), nil, nil)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.why, err, test.want)
		}
	}

	settings := file("nacre.yaml", "vendordata_dynamic_targets: a@http://x/y@z, b@https://[::1]:1/\nvendordata_dynamic_failure_fatal: true\nvendordata_jsonfile_path: "+file("v.json", "{ \"a\" : 1 }\n"))
	forgetTests(t)
	c, err := Load(Config{}, settings)
	if err != nil {
		t.Fatal(err)
	}
	source, err := c.VendorData.source(slog.Default(), nil, nil)
	if err != nil || !source.Asks() || !c.VendorData.Fatal || string(source.Static()) != `{"a":1}` {
		t.Errorf("got %+v, %v", c.VendorData, err)
	}
}
