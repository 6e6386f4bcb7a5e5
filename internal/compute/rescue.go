package compute

import (
	"cmp"
	"context"
	"slices"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// NewRescue asks for a server to boot from another disk for a while.
type NewRescue struct {
	Image     string // "" is the server's own
	OfVolume  bool   // servers whose root disk is a volume may be rescued
	AdminPass string // as of NewServer, until it is rescued
}

// What images may say of the disk that is made of them for a rescue.
var (
	rescueDevices = []string{"disk", "cdrom"}
	rescueBuses   = buses
)

// RescueServer restarts a server from a disk made of an image, beside which it has
// its own disks. Where the image says on what device and bus, these stay where
// they are; else the new disk takes the place of the first.
func (s *Service) RescueServer(ctx context.Context, act Act, caller auth.Caller, in NewRescue) error {
	server, err := s.Server(ctx, act.Project, act.Server)
	if err != nil {
		return err
	}
	states := []VMState{Active, Stopped, Errored}
	err = act.allow(server, "rescue", states...)
	if err != nil {
		return err
	}
	ofVolume := server.Image == ""
	if ofVolume && !in.OfVolume {
		return errs.BadRequestf("Instance %s cannot be rescued: Cannot rescue a volume-backed instance", server.ID)
	}
	rescue := Rescue{Image: in.Image}
	if server.ConfigDrive {
		rescue.AdminPass = in.AdminPass
	}
	if rescue.Image == "" {
		rescue.Image = server.Image
	}
	if rescue.Image == "" {
		return errs.BadRequestf("Instance %s cannot be rescued: a volume-backed instance needs a rescue image.", server.ID)
	}
	image, err := s.images.Image(ctx, caller, rescue.Image)
	if errs.Is(err, errs.NotFound) || err == nil && (image.Status != "active" || image.Bootable != nil) {
		return errs.BadRequestf("Requested rescue image '%s' is not supported", rescue.Image)
	}
	if err != nil {
		return err
	}
	rescue.Device, rescue.Bus = image.Properties["hw_rescue_device"], image.Properties["hw_rescue_bus"]
	switch {
	case rescue.Device != "" && !slices.Contains(rescueDevices, rescue.Device):
		return errs.BadRequestf("Requested rescue device '%s' is not supported", rescue.Device)
	case rescue.Bus != "" && !slices.Contains(rescueBuses, rescue.Bus), rescue.Device == "cdrom" && rescue.Bus == "virtio":
		return errs.BadRequestf("Requested rescue bus '%s' is not supported", rescue.Bus)
	case rescue.Bus != "" && rescue.Device == "":
		rescue.Device = "disk"
	case ofVolume && rescue.Device == "":
		return errs.BadRequestf("Instance %s cannot be rescued: Cannot rescue a volume-backed instance by an image without hw_rescue_device or hw_rescue_bus", server.ID)
	case rescue.Device == "cdrom":
		rescue.Bus = cmp.Or(rescue.Bus, image.Properties["hw_cdrom_bus"])
	default:
		rescue.Bus = cmp.Or(rescue.Bus, image.Properties["hw_disk_bus"], server.Buses.V.Disk)
	}
	if rescue.Bus != "" && !slices.Contains(rescueBuses, rescue.Bus) {
		return errs.BadRequestf("Requested rescue bus '%s' is not supported", rescue.Bus)
	}
	return s.power(ctx, act, "rescue", powerState{Task: Rescuing, Name: "rescue", Running: true, State: Rescued, Rescue: &rescue}, states...)
}

// UnrescueServer restarts a rescued server from its own disk.
func (s *Service) UnrescueServer(ctx context.Context, act Act) error {
	return s.power(ctx, act, "unrescue", powerState{Task: Unrescuing, Name: "unrescue", Running: true, State: Active}, Rescued)
}

type crashState struct{ Server string }

// CrashServer tells the kernel of a guest to crash and leave a dump, if it was
// told to leave one then.
func (s *Service) CrashServer(ctx context.Context, act Act) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		asked := server
		asked.TaskState = "" // it may hang in whatever is being done to it
		err = act.allow(asked, "trigger_crash_dump", Active, PausedState, Rescued, Resized, Errored)
		if err != nil {
			return err
		}
		if server.Host == "" {
			return errs.Conflictf("Instance %s is not ready", server.ID)
		}
		_, err = work.Start(ctx, tx, s.crashPlan(), server.ID, crashState{server.ID}, act.options(server)...)
		return err
	})
}

func (s *Service) crashPlan() work.Plan[crashState] {
	return work.Plan[crashState]{
		Name: "server.crash_dump", Action: "trigger_crash_dump", Deadline: changeDeadline,
		Steps: []work.Step[crashState]{
			{Name: "want", Tx: func(ctx context.Context, tx *db.Tx, state *crashState) error {
				server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
					server.CrashDumps++
					return nil
				}, "crash_dumps")
				if err != nil {
					return err
				}
				err = s.tell(ctx, tx, "trigger_crash_dump.start", server)
				if err != nil {
					return err
				}
				return s.want(ctx, tx, server)
			}},
			{Name: "wait", Do: s.crashWait},
			{Name: "finish", Tx: func(ctx context.Context, tx *db.Tx, state *crashState) error {
				return s.tellID(ctx, tx, "trigger_crash_dump.end", state.Server)
			}},
		},
	}
}

func (s *Service) crashWait(ctx context.Context, state *crashState) error {
	server, seen, err := s.seen(ctx, state.Server)
	if err == nil && seen.CrashDumps < server.CrashDumps {
		return work.NotYet("waiting for host %s to tell the guest", server.Host)
	}
	return err
}
