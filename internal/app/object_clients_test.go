package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nacre/internal/testcloud"
)

// TestObjectClients does the daily calls with the commands that Debian ships:
// swift, and s3cmd with signatures of both versions.
func TestObjectClients(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	access, secret := accessKey(t, cloud.Demo())
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, []byte(content), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	small, big := write("small", "hello"), write("big", strings.Repeat("0123456789abcdef", 700_000))
	host := strings.TrimPrefix(cloud.S3, "http://")
	settings := write("s3cfg", "[default]\naccess_key = "+access+"\nsecret_key = "+secret+"\nhost_base = "+host+"\nhost_bucket = "+host+"\nuse_https = False\n")
	run := func(name string, arg ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), name, arg...)
		command.Dir = dir
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v (make packages installs what is missing)\n%s", name, strings.Join(arg, " "), err, output)
		}
		return string(output)
	}
	swift := func(arg ...string) string {
		t.Helper()
		return run("/usr/bin/swift", append([]string{"--os-auth-url", cloud.URL + "/v3", "--auth-version", "3", "--os-username", "demo",
			"--os-password", cloud.App.Secrets.Demo, "--os-project-name", "demo", "--os-user-domain-name", "Default", "--os-project-domain-name", "Default"}, arg...)...)
	}
	s3 := func(arg ...string) string {
		t.Helper()
		return run("/usr/bin/s3cmd", append([]string{"-c", settings, "--no-progress"}, arg...)...)
	}
	same := func(a, b string) {
		t.Helper()
		one, err := os.ReadFile(a)
		if err != nil {
			t.Fatal(err)
		}
		other, err := os.ReadFile(b)
		if err != nil || string(one) != string(other) {
			t.Errorf("%s has %d bytes, want the %d of %s (%v)", b, len(other), len(one), a, err)
		}
	}

	swift("upload", "box", "small", "--header", "X-Object-Meta-Color: red")
	swift("upload", "box", "big", "--segment-size", "4000000", "--use-slo")
	swift("upload", "box", "big", "--object-name", "dynamic", "--segment-size", "4000000", "--segment-container", "parts")
	for _, name := range []string{"small", "big", "dynamic"} {
		swift("download", "box", name, "-o", filepath.Join(dir, "back"))
		same(filepath.Join(dir, strings.Replace(name, "dynamic", "big", 1)), filepath.Join(dir, "back"))
	}
	swift("post", "box", "--read-acl", ".r:*,.rlistings")
	if got := swift("stat", "box"); !strings.Contains(got, "Read ACL: .r:*,.rlistings") {
		t.Errorf("the container is %s", got)
	}
	swift("copy", "box", "small", "--destination", "/box/copy")
	if got := swift("list", "box"); got != "big\ncopy\ndynamic\nsmall\n" {
		t.Errorf("the container lists %q", got)
	}
	swift("capabilities")
	swift("delete", "box")

	for _, version := range [][]string{nil, {"--signature-v2"}} {
		s3 := func(arg ...string) string {
			t.Helper()
			return s3(append(version, arg...)...)
		}
		s3("mb", "s3://bucket")
		s3("put", small, "s3://bucket/a b/珠+&.txt", "--add-header=x-amz-meta-color:red")
		s3("put", big, "s3://bucket/big", "--multipart-chunk-size-mb=5")
		s3("cp", "s3://bucket/a b/珠+&.txt", "s3://bucket/copy")
		s3("setacl", "--acl-public", "s3://bucket")
		if got := s3("info", "s3://bucket/copy"); !strings.Contains(got, "x-amz-meta-color: red") {
			t.Errorf("the copy is %s", got)
		}
		for name, source := range map[string]string{"s3://bucket/big": big, "s3://bucket/copy": small} {
			s3("get", "--force", name, filepath.Join(dir, "back"))
			same(source, filepath.Join(dir, "back"))
		}
		if got := s3("ls", "s3://bucket"); strings.Count(got, "s3://bucket/") != 3 {
			t.Errorf("the bucket lists %s", got)
		}
		s3("del", "--recursive", "--force", "s3://bucket")
		s3("rb", "s3://bucket")
	}
}
