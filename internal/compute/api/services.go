package api

import (
	"errors"
	"strconv"

	"nacre/internal/api"
	"nacre/internal/compute"
	"nacre/internal/errs"
)

type serviceView struct {
	ID         any        `json:"id"`
	Binary     string     `json:"binary"`
	Host       string     `json:"host"`
	Zone       string     `json:"zone"`
	Status     string     `json:"status"`
	State      string     `json:"state"`
	Updated    api.Micros `json:"updated_at"`
	Reason     *string    `json:"disabled_reason"`
	ForcedDown bool       `json:"forced_down" since:"2.11"`
}

type servicesReply struct {
	Services []serviceView `json:"services"`
}

func viewService(c *api.Call, host compute.Hypervisor) serviceView {
	v := serviceView{
		ID: host.Service.ID, Binary: "nova-compute", Host: host.Host.Name, Zone: host.Zone, Status: "enabled", State: "down",
		Updated: api.Micros(host.Host.SeenAt), Reason: orNull(host.Service.Reason), ForcedDown: host.Service.ForcedDown,
	}
	if c.Version < api.V(2, 53) {
		v.ID = host.Service.Seq
	}
	if host.Service.Disabled {
		v.Status = "disabled"
	}
	if host.Up() {
		v.State = "up"
	}
	return v
}

func (h handlers) listServices(c *api.Call) (servicesReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return servicesReply{}, err
	}
	list, err := h.compute.Hypervisors(c.Context())
	reply := servicesReply{}
	params := c.Query()
	for _, host := range list {
		if params.Get("host") != "" && params.Get("host") != host.Host.Name {
			continue
		}
		if params.Get("binary") != "" && params.Get("binary") != "nova-compute" {
			continue
		}
		reply.Services = append(reply.Services, viewService(c, host))
	}
	return reply, err
}

type updateServiceRequest struct {
	Status     string  `json:"status" check:"enum=enabled|disabled"`
	Reason     *string `json:"disabled_reason" check:"min=1,max=255,notnull"`
	ForcedDown *bool   `json:"forced_down" check:"notnull"`
}

type serviceReply struct {
	Service serviceView `json:"service"`
}

func (h handlers) updateService(c *api.Call, in updateServiceRequest) (serviceReply, error) {
	err := c.AuthorizeOwn()
	if err == nil {
		err = serviceID(c)
	}
	if err != nil {
		return serviceReply{}, err
	}
	if in.Status == "" && in.ForcedDown == nil {
		return serviceReply{}, errs.BadRequestf("No updates were requested. Fields 'status' or 'forced_down' should be specified.")
	}
	if in.Reason != nil && in.Status != "disabled" {
		return serviceReply{}, errs.BadRequestf("Specifying 'disabled_reason' when status is 'enabled' is invalid.")
	}
	host, err := h.compute.SetService(c.Context(), c.PathValue("service_id"), "", func(s *compute.HostService) {
		if in.Status != "" {
			s.Disabled, s.Reason = in.Status == "disabled", ""
		}
		if in.Reason != nil {
			s.Reason = *in.Reason
		}
		if in.ForcedDown != nil {
			s.ForcedDown = *in.ForcedDown
		}
	})
	return serviceReply{viewService(c, host)}, err
}

type oldServiceRequest struct {
	Host   string    `json:"host" check:"required,min=1,max=255,pattern=hostname"`
	Binary string    `json:"binary" check:"required,min=1,max=255"`
	Reason *string   `json:"disabled_reason" check:"min=1,max=255,notnull"`
	Forced *api.Bool `json:"forced_down" since:"2.11" check:"notnull"`
}

type oldServiceReply struct {
	Service struct {
		Host   string  `json:"host"`
		Binary string  `json:"binary"`
		Status *string `json:"status,omitempty"`
		Reason *string `json:"disabled_reason,omitempty"`
		Forced *bool   `json:"forced_down,omitempty"`
	} `json:"service"`
}

// disableOld has no reason: one that is sent is not kept.
func (h handlers) disableOld(c *api.Call, in oldServiceRequest) (oldServiceReply, error) {
	in.Reason = nil
	return h.setOld(c, in, "disabled", "", func(s *compute.HostService) { s.Disabled, s.Reason = true, "" })
}

func (h handlers) disableForReason(c *api.Call, in oldServiceRequest) (oldServiceReply, error) {
	missing := ""
	if in.Reason == nil {
		missing = "disabled reason"
	}
	return h.setOld(c, in, "disabled", missing, func(s *compute.HostService) { s.Disabled, s.Reason = true, *in.Reason })
}

func (h handlers) enableOld(c *api.Call, in oldServiceRequest) (oldServiceReply, error) {
	in.Reason = nil
	return h.setOld(c, in, "enabled", "", func(s *compute.HostService) { s.Disabled, s.Reason = false, "" })
}

func (h handlers) forceDownOld(c *api.Call, in oldServiceRequest) (oldServiceReply, error) {
	missing := ""
	if in.Forced == nil {
		missing = "forced_down"
	}
	in.Reason = nil
	reply, err := h.setOld(c, in, "", missing, func(s *compute.HostService) { s.ForcedDown = bool(*in.Forced) })
	reply.Service.Forced = (*bool)(in.Forced)
	return reply, err
}

// setOld changes a service, unless a field is missing that the change needs.
func (h handlers) setOld(c *api.Call, in oldServiceRequest, status, missing string, change func(*compute.HostService)) (oldServiceReply, error) {
	var reply oldServiceReply
	err := c.AuthorizeOwn()
	if err != nil {
		return reply, err
	}
	if missing != "" {
		return reply, errs.BadRequestf("Missing %s field", missing)
	}
	if in.Binary != "nova-compute" {
		return reply, errs.BadRequestf("Updating a %s service is not supported. Only nova-compute services can be updated.", in.Binary)
	}
	_, err = h.compute.SetService(c.Context(), "", in.Host, change)
	reply.Service.Host, reply.Service.Binary, reply.Service.Status, reply.Service.Reason = in.Host, in.Binary, orNull(status), in.Reason
	return reply, err
}

// serviceID refuses ids of another form than the microversion has.
func serviceID(c *api.Call) error {
	id := c.PathValue("service_id")
	if c.Version >= api.V(2, 53) {
		if !uuidLike(id) {
			return errs.BadRequestf("Invalid uuid %s", id)
		}
		return nil
	}
	_, err := strconv.ParseInt(id, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return errs.BadRequestf("Invalid input received: id must be an integer")
	}
	return nil
}

func (h handlers) deleteService(c *api.Call) error {
	err := c.AuthorizeOwn()
	if err == nil {
		err = serviceID(c)
	}
	if err != nil {
		return err
	}
	return h.compute.DeleteService(c.Context(), c.PathValue("service_id"))
}
