package compute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

const (
	uptimePatience = 5 * time.Second // how long a host may take to tell its uptime
	uptimesAtOnce  = 32              // how many hosts are asked at the same time
)

// Uptime asks a host how long it has been up, and tells it as the command uptime
// does.
func (s *Service) Uptime(ctx context.Context, host string) (string, error) {
	silent := errs.BadRequestf("Compute service of %s is unavailable at this time.", host)
	if !s.hostUp(host) {
		return "", silent
	}
	patience, cancel := context.WithTimeout(ctx, uptimePatience)
	defer cancel()
	reply, err := s.hosts.Ask(patience, host, nodeapi.QueryUptime, struct{}{})
	switch {
	case errs.Is(err, errs.Unavailable), errors.Is(err, context.DeadlineExceeded):
		return "", silent.Because(err)
	case errs.Is(err, errs.NotFound): // its node is older than the question
		return "", errs.New(errs.NotImplemented, "The requested functionality is not supported.").Because(err)
	}
	var up nodeapi.Uptime
	if err == nil {
		err = json.Unmarshal(reply, &up)
	}
	if err != nil {
		return "", fmt.Errorf("uptime of host %s: %w", host, err)
	}
	return uptimeText(up), nil
}

// Uptimes asks several hosts. Those that don't tell are left out.
func (s *Service) Uptimes(ctx context.Context, hosts []string) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, 2*uptimePatience)
	defer cancel()
	var mu sync.Mutex // guards told
	told := map[string]string{}
	var asking errgroup.Group
	asking.SetLimit(uptimesAtOnce)
	for _, host := range hosts {
		asking.Go(func() error {
			text, err := s.Uptime(ctx, host)
			if err != nil {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			told[host] = text
			return nil
		})
	}
	_ = asking.Wait() // it never fails
	return told
}

// uptimeText words it as the command does, which clients take apart again.
func uptimeText(up nodeapi.Uptime) string {
	text := time.Unix(up.Now, 0).UTC().Format(" 15:04:05 up ")
	minutes := up.Seconds / 60
	days, hours, minutes := minutes/(24*60), minutes/60%24, minutes%60
	switch days {
	case 0:
	case 1:
		text += "1 day, "
	default:
		text += fmt.Sprintf("%d days, ", days)
	}
	if hours > 0 {
		text += fmt.Sprintf("%2d:%02d", hours, minutes)
	} else {
		text += fmt.Sprintf("%d min", minutes)
	}
	users := "users"
	if up.Users == 1 {
		users = "user"
	}
	return text + fmt.Sprintf(", %2d %s,  load average: %.2f, %.2f, %.2f", up.Users, users, up.Load[0], up.Load[1], up.Load[2])
}
