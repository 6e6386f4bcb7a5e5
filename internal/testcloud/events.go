package testcloud

import (
	"bytes"
	"context"
	_ "embed" // the table
	"strings"
	"sync"
	"testing"

	"nacre/internal/app"
	"nacre/internal/bus"
)

// notifications are the events that OpenStack's services tell of.
//
//go:embed testdata/notifications.tsv
var notifications string

// beside are events that the table leaves out: what Cinder's manager says when it
// lets go of a volume instead of "delete", and that Keystone names trusts with
// their extension.
const beside = `
cinder	volume.unmanage.start
cinder	volume.unmanage.end
keystone	identity.OS-TRUST:trust.created
keystone	identity.OS-TRUST:trust.deleted
`

// known are the events, by service and type.
var known = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(notifications + beside) {
		all[strings.Replace(strings.TrimSpace(line), "\t", " ", 1)] = true
	}
	return all
})

// checkEvents fails the test for each event that leaves the cloud and that the
// service in OpenStack does not have, or that has a token in it. Events of a cloud with a broker leave
// through that.
func checkEvents(t testing.TB, cloud *app.Cloud) {
	within, is := cloud.Bus.(*bus.InProcess)
	if !is {
		return
	}
	var seen sync.Map
	within.Subscribe("", func(_ context.Context, m bus.Message) {
		service, tells := strings.CutPrefix(m.Topic, "notifications.")
		if bytes.Contains(m.Payload, []byte(tokenBegin)) {
			t.Errorf("%s tells a token in %s", m.Topic, m.Type)
		}
		if !tells || known()[service+" "+m.Type] {
			return
		}
		_, again := seen.LoadOrStore(m.Topic+m.Type, true)
		if !again {
			t.Errorf("%s tells of %s, which OpenStack does not have", service, m.Type)
		}
	})
}
