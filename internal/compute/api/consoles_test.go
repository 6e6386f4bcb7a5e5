package api_test

import "testing"

// TestConsoles asks for each kind of console that we have, in its older and its
// newer form, and what its token stands for.
func TestConsoles(t *testing.T) {
	c := start(t, options{})
	id := c.active("web", "")
	ids := map[string]string{id: "SERVER"}
	for kind, name := range map[string]string{"novnc": "vnc", "serial": "serial"} {
		same(t, "remote-console-"+name+"-2.6", c.must(200, "demo@2.6", "POST", "/servers/"+id+"/remote-consoles",
			`{"remote_console":{"protocol":"`+name+`","type":"`+kind+`"}}`), ids)
	}
	same(t, "server-serial-console-2.1", c.must(200, "demo", "POST", "/servers/"+id+"/action", `{"os-getSerialConsole":{"type":"serial"}}`), ids)
	same(t, "server-vnc-console-2.1", c.must(200, "demo", "POST", "/servers/"+id+"/action", `{"os-getVNCConsole":{"type":"novnc"}}`), ids)
	same(t, "console-token-2.31", c.must(200, "admin@2.31", "GET", "/os-console-auth-tokens/T", ""), ids)
}
