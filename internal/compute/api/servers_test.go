package api_test

import (
	"testing"
)

func TestServerLife(t *testing.T) {
	c := start(t, options{hosts: 2})
	id := c.active("web", "")
	show := c.must(200, "demo@2.96", "GET", "/servers/"+id, "")
	if got := show.at(t, "server", "addresses", "private", 0, "addr"); got == nil {
		t.Errorf("server has no address: %s", show.body)
	}
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"os-stop":null}`)
	c.status(id, "SHUTOFF")
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"os-start":null}`)
	c.status(id, "ACTIVE")
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"reboot":{"type":"SOFT"}}`)
	c.status(id, "ACTIVE")
	c.must(202, "demo", "POST", "/servers/"+id+"/action", `{"reboot":{"type":"HARD"}}`)
	c.status(id, "ACTIVE")
	c.must(204, "demo", "DELETE", "/servers/"+id, "")
	c.gone(id)
	for _, m := range c.machines {
		list, err := m.List(c.ctx)
		if err != nil || len(list) != 0 {
			t.Errorf("host still has machines %v, %v", list, err)
		}
	}
}
