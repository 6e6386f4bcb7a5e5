package app_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"nacre/internal/app"
	"nacre/internal/identity/saml"
	"nacre/internal/testcloud"
)

// A user of one cloud works in another one with the openstack command, which gets
// what it needs by keystoneauth's Keystone2Keystone.
func TestOpenStackClientGoesToAnotherCloud(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, []byte(content), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	east := testcloud.Start(t, testcloud.Nodes(1))
	described, err := http.Get(east.URL + "/v3/OS-FEDERATION/saml2/metadata")
	if err != nil {
		t.Fatal(err)
	}
	defer described.Body.Close()
	metadata, err := io.ReadAll(described.Body)
	if err != nil {
		t.Fatal(err)
	}
	west := testcloud.Start(t, testcloud.Nodes(1), testcloud.Federation(app.Federation{
		SAML: []saml.Settings{{IDP: "east", MetadataFile: file("east.xml", string(metadata))}},
	}))
	rules := file("rules.json", `[{"local": [{"user": {"name": "{0}"}}, {"group": {"name": "guests", "domain": {"name": "Default"}}}],
		"remote": [{"type": "openstack_user"}, {"type": "openstack_user_domain", "any_one_of": ["Default"]}]}]`)
	doCommands(t, west, `
group create guests
project create abroad
role add --group guests --project abroad member
identity provider create --remote-id `+east.URL+`/identity/v3/OS-FEDERATION/saml2/idp east => east
mapping create --rules `+rules+` east => guests
federation protocol create --identity-provider east --mapping east saml2 => saml2
`)
	at := west.URL + "/v3/OS-FEDERATION/identity_providers/east/protocols/saml2/auth"
	doCommands(t, east, `
service provider create west --auth-url `+at+` --service-provider-url `+at+` => ss:mem:
`)
	doCommands(t, east, `
token issue => project_id
server list
volume create --size 1 fetched => fetched
volume list => fetched
`, "OS_USERNAME=demo", "OS_PASSWORD="+east.App.Secrets.Demo, "OS_PROJECT_NAME=demo", "OS_SERVICE_PROVIDER=west",
		"OS_REMOTE_PROJECT_NAME=abroad", "OS_REMOTE_PROJECT_DOMAIN_NAME=Default")
	doCommands(t, west, `
volume list --all-projects => fetched
`)
}
