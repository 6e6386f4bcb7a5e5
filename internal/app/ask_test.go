package app

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A decision as "nacre describe schedule --server" shows it.
func TestPrintSchedule(t *testing.T) {
	const factors = `"factors":{"VCPU":0.5,"MEMORY_MB":1,"DISK_GB":0.25}`
	for _, test := range []struct{ name, body, want string }{
		{"a host", `{"server":"s","chosen":"one","decided_at":"2026-12-01T08:00:00Z","considered":2,"passed":1,"refused":{"state":1},"hosts":[
			{"id":"1","host":"one","score":0.125,` + factors + `},
			{"id":"2","host":"other","score":null,"factors":null,"refused_by":"state","reason":"the host is down"}]}`, `
server s
chosen one at 2026-12-01T08:00:00Z
2 hosts considered, 1 could take it
HOST   SCORE   FACTORS                                       REFUSED BECAUSE
one    0.1250  VCPU 0.500 × MEMORY_MB 1.000 × DISK_GB 0.250
other  -                                                     the host is down
`},
		{"something before the score", `{"server":"s","chosen":"one","decided_at":"2026-12-01T08:00:00Z","considered":3,"passed":2,"refused":{"state":1},"hosts":[
			{"id":"1","host":"one","score":0.125,` + factors + `,"before":[{"of":"soft-affinity","n":2},{"of":"io_ops","n":11}]},
			{"id":"2","host":"two","score":0.125,` + factors + `,"before":[{"of":"soft-affinity","n":0},{"of":"io_ops","n":0}]},
			{"id":"3","host":"three","score":null,"factors":null,"refused_by":"state","reason":"the host is down"}]}`, `
server s
chosen one at 2026-12-01T08:00:00Z
3 hosts considered, 2 could take it
HOST   SOFT-AFFINITY  IO_OPS  SCORE   FACTORS                                       REFUSED BECAUSE
one    2              11      0.1250  VCPU 0.500 × MEMORY_MB 1.000 × DISK_GB 0.250
two    0              0       0.1250  VCPU 0.500 × MEMORY_MB 1.000 × DISK_GB 0.250
three  -              -       -                                                     the host is down
`},
		{"no host", `{"server":"s","chosen":"","decided_at":"2026-12-01T08:00:00Z","summary":"1 of 1 hosts refused: 1 by state (one: the host is down).",
			"considered":1,"passed":0,"refused":{"state":1},"hosts":[
			{"id":"1","host":"one","score":null,"factors":null,"refused_by":"state","reason":"the host is down"}]}`, `
server s
chosen none at 2026-12-01T08:00:00Z
1 hosts considered, 0 could take it
1 of 1 hosts refused: 1 by state (one: the host is down).
HOST  SCORE  FACTORS  REFUSED BECAUSE
one   -               the host is down
`},
	} {
		var out bytes.Buffer
		err := printSchedule(&out, []byte(test.body))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines("\n" + out.String()) {
			got = append(got, strings.TrimRight(line, " \n"))
		}
		if diff := cmp.Diff(test.want, strings.Join(got, "\n")+"\n"); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	if printSchedule(&bytes.Buffer{}, []byte("nothing")) == nil {
		t.Error("what is no decision is printed")
	}
}
