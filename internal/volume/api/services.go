package api

import (
	"slices"
	"strings"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

// services are the calls about the hosts that keep volumes, as services.
func (h handlers) services() []api.Route {
	const path, update = "/os-services", "volume_extension:services:update"
	return []api.Route{
		{Method: "GET", Path: path, Rule: "volume_extension:services:index", Do: api.Get(h.listServices)},
		{Method: "PUT", Path: path + "/disable", Rule: update, Do: api.Body(h.disableService)},
		{Method: "PUT", Path: path + "/disable-log-reason", Rule: update, Do: api.Body(h.disableWithReason)},
		{Method: "PUT", Path: path + "/enable", Rule: update, Do: api.Body(h.enableService)},
		{Method: "PUT", Path: path + "/get-log", Rule: update, Since: api.V(3, 32), Do: api.Body(h.getLog)},
		{Method: "PUT", Path: path + "/set-log", Rule: update, Since: api.V(3, 32), OK: 202, Do: api.BodyEmpty(h.setLog)},
		{Method: "PUT", Path: path + "/freeze", Rule: "volume:freeze_host", Do: api.BodyEmpty(h.freeze)},
		{Method: "PUT", Path: path + "/thaw", Rule: "volume:thaw_host", Do: api.BodyEmpty(h.thaw)},
		{Method: "PUT", Path: path + "/failover_host", Rule: "volume:failover_host", OK: 202, Do: api.BodyEmpty(h.failover)},
	}
}

const volumeBinary = "cinder-volume"

// serverBinaries are what Cinder calls the parts that every server here is.
var serverBinaries = []string{"cinder-backup", "cinder-scheduler"}

type serviceView struct {
	Binary         string     `json:"binary"`
	Host           string     `json:"host"`
	Zone           string     `json:"zone"`
	Status         string     `json:"status"`
	State          string     `json:"state"`
	UpdatedAt      api.Micros `json:"updated_at"`
	DisabledReason *string    `json:"disabled_reason"`
	Replication    any        `json:"replication_status,omitempty"` // these three are of hosts that keep volumes
	ActiveBackend  any        `json:"active_backend_id,omitempty"`
	Frozen         any        `json:"frozen,omitempty"`
	Cluster        *string    `json:"cluster" since:"3.7"`
	BackendState   any        `json:"backend_state,omitempty" since:"3.49"`
}

type servicesReply struct {
	Services []serviceView `json:"services"`
}

func state(b volume.Backend) string {
	if b.Host.Up {
		return "up"
	}
	return "down"
}

func enabled(b volume.Backend) string {
	if b.Disabled {
		return "disabled"
	}
	return "enabled"
}

// names tells whether a name is a backend's: of the host, its backend or its pool.
func names(name string, b volume.Backend) bool { return hostIn(name) == b.Host.Name }

// hostIn is the host in the name of a backend or pool.
func hostIn(name string) string {
	name, _, _ = strings.Cut(name, "@")
	return name
}

func (h handlers) listServices(c *api.Call) (servicesReply, error) {
	reply := servicesReply{}
	err := c.AuthorizeOwn()
	if err != nil {
		return reply, err
	}
	backends, err := h.service.Backends(c.Context())
	if err != nil {
		return reply, err
	}
	peers, err := h.service.Peers(c.Context())
	if err != nil {
		return reply, err
	}
	var all []serviceView
	for _, b := range backends {
		all = append(all, serviceView{
			Binary: volumeBinary, Host: backend(b.Host.Name), Zone: h.service.Zone(), Status: enabled(b), State: state(b),
			UpdatedAt: api.Micros(b.Host.SeenAt), DisabledReason: orNull(b.Reason), Replication: "disabled", ActiveBackend: null, Frozen: b.Frozen, BackendState: state(b),
		})
	}
	for _, peer := range peers {
		for _, binary := range serverBinaries {
			view := serviceView{Binary: binary, Host: peer.ID, Zone: h.service.Zone(), Status: "enabled", State: "down", UpdatedAt: stamp(peer.SeenAt)}
			if h.service.Up(peer) {
				view.State = "up"
			}
			all = append(all, view)
		}
	}
	q := c.Query()
	for _, view := range all {
		if q.Has("host") && hostIn(q.Get("host")) != hostIn(view.Host) || q.Has("binary") && q.Get("binary") != view.Binary {
			continue
		}
		reply.Services = append(reply.Services, view)
	}
	return reply, nil
}

type serviceRequest struct {
	Host    string  `json:"host" check:"required,min=1,max=255"`
	Binary  *string `json:"binary" check:"min=1,max=255"`
	Service *string `json:"service" check:"min=1,max=255"`
	Cluster *string `json:"cluster" check:"max=255"`
}

type reasonRequest struct {
	serviceRequest
	Reason string `json:"disabled_reason" check:"required,min=1,max=255"`
}

type serviceReply struct {
	Host     string `json:"host"`
	Service  string `json:"service"`
	Binary   string `json:"binary"`
	Status   string `json:"status"`
	Disabled bool   `json:"disabled"`
	Reason   any    `json:"disabled_reason,omitempty"` // when it was written
}

func (h handlers) operate(c *api.Call, in serviceRequest, disabled bool, reason *string) (serviceReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return serviceReply{}, err
	}
	binary := first(in.Binary)
	if binary == "" {
		binary = first(in.Service)
	}
	if binary == "" {
		return serviceReply{}, errs.BadRequestf("Invalid input for field/attribute binary. Value: None. The binary of the service must be given.")
	}
	if slices.Contains(serverBinaries, binary) {
		return serviceReply{}, errs.BadRequestf("Invalid input received: Every server is a %s, which cannot be turned off.", binary)
	}
	if binary != volumeBinary {
		return serviceReply{}, errs.NotFoundf("Service %s could not be found on host %s.", binary, in.Host)
	}
	_, err = h.service.OperateHost(c.Context(), hostIn(in.Host), volume.HostChange{Disabled: &disabled, Reason: reason})
	if err != nil {
		return serviceReply{}, err
	}
	reply := serviceReply{Host: in.Host, Service: first(in.Service), Binary: first(in.Binary), Status: "enabled", Disabled: disabled}
	if disabled {
		reply.Status = "disabled"
	}
	return reply, nil
}

func (h handlers) disableService(c *api.Call, in serviceRequest) (serviceReply, error) {
	return h.operate(c, in, true, nil)
}

func (h handlers) disableWithReason(c *api.Call, in reasonRequest) (serviceReply, error) {
	reply, err := h.operate(c, in.serviceRequest, true, &in.Reason)
	reply.Reason = in.Reason
	return reply, err
}

func (h handlers) enableService(c *api.Call, in serviceRequest) (serviceReply, error) {
	reply, err := h.operate(c, in, false, new(string))
	reply.Reason = null
	return reply, err
}

type hostRequest struct {
	Host    *string `json:"host" check:"max=255"`
	Cluster *string `json:"cluster" check:"max=255" since:"3.26"`
	Backend *string `json:"backend_id" check:"max=255"`
}

// setFrozen is freeze and thaw: a frozen host keeps what it has and gets nothing new.
func (h handlers) setFrozen(c *api.Call, in hostRequest, frozen bool) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	host := first(in.Host)
	_, err = h.service.OperateHost(c.Context(), hostIn(host), volume.HostChange{Frozen: &frozen})
	if errs.Is(err, errs.NotFound) {
		return errs.BadRequestf("Invalid input received: No service could be changed: there is no host %s.", host)
	}
	return err
}

func (h handlers) freeze(c *api.Call, in hostRequest) error { return h.setFrozen(c, in, true) }
func (h handlers) thaw(c *api.Call, in hostRequest) error   { return h.setFrozen(c, in, false) }

// failover refuses: no host replicates what is on it, so there is nowhere to go.
func (h handlers) failover(c *api.Call, in hostRequest) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	return errs.BadRequestf("Invalid input received: No service could be changed: replication is not enabled on host %s.", first(in.Host))
}

type logRequest struct {
	Binary *string `json:"binary" check:"enum=|*|cinder-api|cinder-volume|cinder-scheduler|cinder-backup"`
	Server *string `json:"server" check:"max=255"`
	Prefix *string `json:"prefix" check:"max=255"`
	Level  *string `json:"level" check:"max=255"`
}

type logView struct {
	Binary string            `json:"binary"`
	Host   string            `json:"host"`
	Levels map[string]string `json:"levels"`
}

type logReply struct {
	Levels []logView `json:"log_levels"`
}

// logger is the name of the one log that each server writes, whichever of the
// binaries is asked for.
const logger = "nacre"

// about tells whether a call on logs is about the server that answers it.
func about(in logRequest, server string) bool {
	binary, asked := first(in.Binary), first(in.Server)
	return (binary == "" || binary == "*" || binary == "cinder-api") && (asked == "" || asked == server) &&
		strings.HasPrefix(logger, first(in.Prefix))
}

func (h handlers) getLog(c *api.Call, in logRequest) (logReply, error) {
	reply := logReply{}
	server, level := h.service.LogLevel()
	if about(in, server) {
		reply.Levels = append(reply.Levels, logView{"cinder-api", server, map[string]string{logger: level}})
	}
	return reply, c.AuthorizeOwn()
}

// setLog changes what the server that answers logs.
func (h handlers) setLog(c *api.Call, in logRequest) error {
	err := c.AuthorizeOwn()
	if err != nil {
		return err
	}
	server, _ := h.service.LogLevel()
	return h.service.SetLogLevel(first(in.Level), about(in, server))
}
