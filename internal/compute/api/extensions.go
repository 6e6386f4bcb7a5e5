package api

import (
	"time"

	"nacre/internal/api"
	"nacre/internal/errs"
)

// extensionRoutes is the list of extensions, which became part of the API long
// ago. Old clients look here for what they may call, so what is listed works.
func (h handlers) extensionRoutes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/extensions", Rule: "os_compute_api:extensions", Do: api.Get(h.listExtensions)},
		{Method: "GET", Path: "/extensions/{alias}", Rule: "os_compute_api:extensions", Do: api.Get(h.showExtension)},
	}
}

type extensionView struct {
	Alias       string     `json:"alias"`
	Name        string     `json:"name"`
	Namespace   string     `json:"namespace"`
	Description string     `json:"description"`
	Links       []api.Link `json:"links"`
	Updated     time.Time  `json:"updated"`
}

// extensions are aliases and names.
var extensions = [][2]string{
	{"OS-DCF", "DiskConfig"}, {"OS-EXT-AZ", "ExtendedAvailabilityZone"}, {"OS-EXT-IPS", "ExtendedIps"}, {"OS-EXT-IPS-MAC", "ExtendedIpsMac"},
	{"OS-EXT-SRV-ATTR", "ExtendedServerAttributes"}, {"OS-EXT-STS", "ExtendedStatus"}, {"OS-FLV-DISABLED", "FlavorDisabled"},
	{"OS-FLV-EXT-DATA", "FlavorExtraData"}, {"OS-SCH-HNT", "SchedulerHints"}, {"OS-SRV-USG", "ServerUsage"}, {"os-aggregates", "Aggregates"},
	{"os-attach-interfaces", "AttachInterfaces"}, {"os-availability-zone", "AvailabilityZone"}, {"os-block-device-mapping-v2-boot", "BlockDeviceMappingV2Boot"},
	{"os-config-drive", "ConfigDrive"}, {"os-console-output", "ConsoleOutput"}, {"os-consoles", "Consoles"}, {"os-extended-volumes", "ExtendedVolumes"},
	{"os-flavor-access", "FlavorAccess"}, {"os-flavor-extra-specs", "FlavorExtraSpecs"}, {"os-flavor-manage", "FlavorManage"},
	{"os-hypervisors", "Hypervisors"}, {"os-instance-actions", "InstanceActions"}, {"os-keypairs", "Keypairs"}, {"os-quota-sets", "Quotas"},
	{"os-server-groups", "ServerGroups"}, {"os-server-start-stop", "ServerStartStop"}, {"os-services", "Services"}, {"os-used-limits", "UsedLimits"},
	{"os-user-data", "UserData"}, {"os-volume-attachment-update", "VolumeAttachmentUpdate"},
}

func viewExtension(e [2]string) extensionView {
	return extensionView{Alias: e[0], Name: e[1], Updated: time.Date(2014, 12, 3, 0, 0, 0, 0, time.UTC)}
}

type extensionsReply struct {
	Extensions []extensionView `json:"extensions"`
}

func (h handlers) listExtensions(c *api.Call) (extensionsReply, error) {
	reply := extensionsReply{}
	for _, e := range extensions {
		reply.Extensions = append(reply.Extensions, viewExtension(e))
	}
	return reply, c.AuthorizeOwn()
}

type extensionReply struct {
	Extension extensionView `json:"extension"`
}

func (h handlers) showExtension(c *api.Call) (extensionReply, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return extensionReply{}, err
	}
	for _, e := range extensions {
		if e[0] == c.PathValue("alias") {
			return extensionReply{viewExtension(e)}, nil
		}
	}
	return extensionReply{}, errs.NotFoundf("Extension %s could not be found.", c.PathValue("alias"))
}
