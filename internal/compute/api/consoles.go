package api

import (
	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
)

// consoleRoutes are what guests write and where they are written to: log, screen
// and serial line.
func (h handlers) consoleRoutes() []api.Route {
	const path, rule = "/servers/{server_id}/action", "os_compute_api:os-remote-consoles"
	return []api.Route{
		{Method: "POST", Path: path, Action: "os-getConsoleOutput", Rule: "os_compute_api:os-console-output", Do: api.Body(h.consoleOutput)},
		{Method: "POST", Path: path, Action: "os-getSerialConsole", Rule: rule, Until: api.V(2, 5), Do: api.Body(h.serialConsole)},
		{Method: "POST", Path: path, Action: "os-getSPICEConsole", Rule: rule, Until: api.V(2, 5), Do: api.Body(h.spiceConsole)},
		{Method: "POST", Path: path, Action: "os-getVNCConsole", Rule: rule, Until: api.V(2, 5), Do: api.Body(h.vncConsole)},
		{Method: "POST", Path: "/servers/{server_id}/remote-consoles", Since: api.V(2, 6), Rule: rule, Do: api.Body(h.remoteConsole)},
		{Method: "GET", Path: "/os-console-auth-tokens/{console_token}", Rule: "os_compute_api:os-console-auth-tokens", Do: api.Get(h.consoleToken)},
	}
}

type consoleOutputRequest struct {
	Get struct {
		Length *lines `json:"length"`
	} `json:"os-getConsoleOutput" check:"required"`
}

// lines is how many; -1 is all.
type lines int

// JSONSchema implements api.Schemer.
func (lines) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"integer", "string"}, "pattern": "^-?[0-9]+$", "minimum": -1}
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *lines) UnmarshalJSON(b []byte) error { return (*integer)(n).UnmarshalJSON(b) }

type consoleOutputReply struct {
	Output string `json:"output"`
}

func (h handlers) consoleOutput(c *api.Call, in consoleOutputRequest) (consoleOutputReply, error) {
	server, err := h.server(c)
	if err != nil {
		return consoleOutputReply{}, err
	}
	n := -1
	if in.Get.Length != nil {
		n = int(*in.Get.Length)
	}
	log, err := h.compute.ConsoleLog(c.Context(), server, n)
	return consoleOutputReply{string(log)}, err
}

type vncRequest struct {
	Get struct {
		Type string `json:"type" check:"required,enum=novnc|xvpvnc"`
	} `json:"os-getVNCConsole" check:"required"`
}

func (h handlers) vncConsole(c *api.Call, in vncRequest) (oldConsoleReply, error) {
	return h.oldConsole(c, in.Get.Type)
}

type serialRequest struct {
	Get struct {
		Type string `json:"type" check:"required,enum=serial"`
	} `json:"os-getSerialConsole" check:"required"`
}

func (h handlers) serialConsole(c *api.Call, in serialRequest) (oldConsoleReply, error) {
	return h.oldConsole(c, in.Get.Type)
}

type spiceRequest struct {
	Get struct {
		Type string `json:"type" check:"required,enum=spice-html5"`
	} `json:"os-getSPICEConsole" check:"required"`
}

func (h handlers) spiceConsole(c *api.Call, in spiceRequest) (oldConsoleReply, error) {
	return h.oldConsole(c, in.Get.Type)
}

type oldConsoleReply struct {
	Console struct {
		Type string `json:"type"`
		URL  string `json:"url"`
	} `json:"console"`
}

// oldConsole is what the actions of before 2.6 do.
func (h handlers) oldConsole(c *api.Call, kind string) (oldConsoleReply, error) {
	var reply oldConsoleReply
	server, err := h.server(c)
	if err != nil {
		return reply, err
	}
	reply.Console.Type = kind
	reply.Console.URL, err = h.compute.Console(c.Context(), server, kind)
	return reply, err
}

type remoteConsoleRequest struct {
	Console struct {
		Protocol string `json:"protocol" check:"required,enum=vnc|spice|serial|rdp|mks"`
		Type     string `json:"type" check:"required,enum=novnc|xvpvnc|spice-html5|spice-direct|serial|rdp-html5|webmks"`
	} `json:"remote_console" check:"required"`
}

type remoteConsoleReply struct {
	Console remoteConsoleView `json:"remote_console"`
}

type remoteConsoleView struct {
	Protocol string `json:"protocol"`
	Type     string `json:"type"`
	URL      string `json:"url"`
}

// protocolOf is the protocol that each type of console speaks.
var protocolOf = map[string]string{
	"novnc": "vnc", "xvpvnc": "vnc", "spice-html5": "spice", "spice-direct": "spice", "serial": "serial", "rdp-html5": "rdp", "webmks": "mks",
}

func (h handlers) remoteConsole(c *api.Call, in remoteConsoleRequest) (remoteConsoleReply, error) {
	server, err := h.server(c)
	if err != nil {
		return remoteConsoleReply{}, err
	}
	protocol, kind := in.Console.Protocol, in.Console.Type
	if c.Version < api.V(2, 8) && protocol == "mks" {
		return remoteConsoleReply{}, errs.BadRequestf(
			"Invalid input for field/attribute protocol. Value: mks. 'mks' is not one of ['vnc', 'spice', 'rdp', 'serial']")
	}
	if c.Version < api.V(2, 99) && kind == "spice-direct" {
		return remoteConsoleReply{}, errs.BadRequestf("Invalid input for field/attribute type. Value: spice-direct. 'spice-direct' is known since 2.99.")
	}
	if protocolOf[kind] != protocol {
		return remoteConsoleReply{}, errs.BadRequestf("Invalid console type %s", kind)
	}
	url, err := h.compute.Console(c.Context(), server, kind)
	return remoteConsoleReply{remoteConsoleView{protocol, kind, url}}, err
}

type consoleTokenReply struct {
	Console consoleTokenView `json:"console"`
}

type consoleTokenView struct {
	Server string  `json:"instance_uuid"`
	Host   string  `json:"host"`
	Port   int     `json:"port"`
	Path   *string `json:"internal_access_path"`
}

// consoleToken tells what the token of a console's address stands for. Before
// 2.31 only tokens of RDP consoles could be asked about, which no cloud has any longer.
// Those of direct SPICE consoles, of which there are none here, would show a tls_port
// since 2.99; the others show none.
func (h handlers) consoleToken(c *api.Call) (consoleTokenReply, error) {
	if c.Version < api.V(2, 31) {
		return consoleTokenReply{}, errs.BadRequestf("The server could not comply with the request since it is either malformed or otherwise incorrect.")
	}
	err := c.Authorize(auth.Target{})
	if err != nil {
		return consoleTokenReply{}, err
	}
	token, err := h.compute.ConsoleToken(c.Context(), c.PathValue("console_token"))
	return consoleTokenReply{consoleTokenView{Server: token.Server, Host: token.Host, Port: token.Port}}, err
}
