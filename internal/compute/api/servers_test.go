package api_test

import (
	"fmt"
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

// TestAsManyAsTheQuotaHolds asks for far more servers than there may be: the
// request makes what fits, and takes no longer for it.
func TestAsManyAsTheQuotaHolds(t *testing.T) {
	c := start(t, options{hosts: 2})
	c.active("web", "")
	c.must(202, "demo", "POST", "/servers", fmt.Sprintf(
		`{"server":{"name":"many","imageRef":%q,"flavorRef":"1","max_count":9000000000000000000}}`, imageID))
	list, _ := c.must(200, "demo", "GET", "/servers", "").at(t, "servers").([]any)
	if len(list) != 10 {
		t.Errorf("got %d servers, want the 10 that the quota holds", len(list))
	}
}
