package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nacre/internal/app"
	"nacre/internal/db"
	"nacre/internal/db/dbtest"
	"nacre/internal/testcloud"
)

// rows reads a whole database, a line for each row.
func rows(t *testing.T, source string) (lines []string) {
	t.Helper()
	d, err := db.Peek(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	err = d.Rows(t.Context(), func(table string, columns []string, row []any) error {
		line := table
		for i, c := range columns {
			line += fmt.Sprintf(" %s=%v", c, row[i])
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

// furnish gives a cloud something of everything.
func furnish(t *testing.T, cloud *testcloud.Cloud) {
	t.Helper()
	demo := cloud.Demo()
	server := demo.MustCreateServer(t, "web")
	volume := demo.CreateVolume(t, "data", 1)
	cloud.Settle(t)
	demo.Must(t, 200, "POST", "/compute/v2.1/servers/"+server+"/os-volume_attachments", map[string]any{"volumeAttachment": map[string]any{"volumeId": volume}})
	demo.FloatingIP(t, demo.PortOf(t, server))
	demo.Must(t, 201, "PUT", "/v1/AUTH_"+demo.Project(t)+"/box", nil)
	demo.Must(t, 201, "PUT", "/v1/AUTH_"+demo.Project(t)+"/box/letter", []byte("dear reader"))
	cloud.Settle(t)
}

// goesOn checks that a cloud has what furnish gave it, and can have more.
func goesOn(t *testing.T, cloud *testcloud.Cloud) {
	t.Helper()
	cloud.Settle(t)
	demo := cloud.Demo()
	letter := demo.Must(t, 200, "GET", "/v1/AUTH_"+demo.Project(t)+"/box/letter", nil)
	if string(letter.Body) != "dear reader" {
		t.Errorf("the object has %q", letter.Body)
	}
	var list struct{ Servers []struct{ ID, Status string } }
	demo.Must(t, 200, "GET", "/compute/v2.1/servers/detail", nil).JSON(t, &list)
	if len(list.Servers) != 1 || list.Servers[0].Status != "ACTIVE" {
		t.Errorf("servers %+v, want one that is ACTIVE", list.Servers)
	}
	more := demo.MustCreateServer(t, "more")
	cloud.Settle(t)
	if got := demo.ServerStatus(t, more); got != "ACTIVE" {
		t.Errorf("another server is %s, want ACTIVE", got)
	}
}

// A cloud moves to the other kind of database and back, loses nothing, and goes on.
func TestMove(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "nacre.db")
	var before testcloud.World
	t.Run("on SQLite", func(t *testing.T) {
		cloud := testcloud.Start(t, testcloud.Dir(dir), testcloud.OwnDB(), testcloud.Nodes(2))
		furnish(t, cloud)
		before = cloud.Snapshot(t)
		err := app.Move(t.Context(), app.Config{DataDir: dir}, dbtest.EmptyPostgres(t), &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), "stop it") {
			t.Errorf("moving a cloud that runs: got %v, want that it has to be stopped", err)
		}
	})
	postgres := dbtest.EmptyPostgres(t)
	var said bytes.Buffer
	err := app.Move(t.Context(), app.Config{DataDir: dir}, postgres, &said)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows(t, file), rows(t, postgres)); diff != "" {
		t.Errorf("rows are lost (-SQLite +PostgreSQL):\n%s", diff)
	}
	err = app.Move(t.Context(), app.Config{DataDir: dir, DB: file}, postgres, &said)
	if err == nil || !strings.Contains(err.Error(), "something in it already") {
		t.Errorf("moving over a cloud: got %v, want a refusal", err)
	}
	t.Run("on PostgreSQL", func(t *testing.T) {
		cloud := testcloud.Start(t, testcloud.Dir(dir), testcloud.OwnDB(), testcloud.Nodes(2))
		if !db.IsPostgres(cloud.App.Config.DB) {
			t.Fatalf("the cloud runs on %s", cloud.App.Config.DB)
		}
		delete(before, "catalog_endpoints") // they have the addresses of each process
		cloud.Settle(t)
		cloud.Same(t, before, func() testcloud.World {
			after := cloud.Snapshot(t)
			delete(after, "catalog_endpoints")
			return after
		})
		goesOn(t, cloud)
	})
	back := filepath.Join(t.TempDir(), "back.db")
	err = app.Move(t.Context(), app.Config{DataDir: dir}, back, &said)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows(t, postgres), rows(t, back)); diff != "" {
		t.Errorf("rows are lost (-PostgreSQL +SQLite):\n%s", diff)
	}
}

// A backup that was made while users worked is a whole cloud, also on the other
// kind of database.
func TestBackupOfBusyCloud(t *testing.T) {
	t.Parallel()
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "backup.zip")
	source := dbtest.SourceIn(t, dir)
	t.Run("back up", func(t *testing.T) {
		cloud := testcloud.Start(t, testcloud.Dir(dir))
		furnish(t, cloud)
		var users sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		for n := range 3 {
			base := "/v1/AUTH_" + cloud.Demo().Project(t) + "/box/busy" + fmt.Sprint(n)
			users.Go(func() { busy(ctx, t, cloud.Demo(), base) })
		}
		defer users.Wait()
		defer stop()
		var said bytes.Buffer
		err := app.Backup(t.Context(), app.Config{DataDir: dir, DB: source}, file, &said)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the backup is %v, %v; want it to be its owner's alone", info.Mode(), err)
		}
		err = app.Backup(t.Context(), app.Config{DataDir: dir, DB: source}, file, &said)
		if err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("a second backup of the name: got %v, want a refusal", err)
		}
	})
	for _, target := range []string{filepath.Join(t.TempDir(), "nacre.db"), dbtest.EmptyPostgres(t)} {
		t.Run("restore to "+target[:8], func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "restored")
			var said bytes.Buffer
			err := app.Restore(t.Context(), app.Config{DataDir: dir, DB: target}, file, &said)
			if err != nil {
				t.Fatal(err)
			}
			err = app.Restore(t.Context(), app.Config{DataDir: dir, DB: target}, file, &said)
			if err == nil || !strings.Contains(err.Error(), "already") {
				t.Errorf("restoring twice: got %v, want a refusal", err)
			}
			cloud := testcloud.Start(t, testcloud.Dir(dir), testcloud.OwnDB())
			demo := cloud.Demo()
			var objects []struct{ Name string }
			demo.Must(t, 200, "GET", "/v1/AUTH_"+demo.Project(t)+"/box?format=json", nil).JSON(t, &objects)
			for _, o := range objects {
				demo.Must(t, 200, "GET", "/v1/AUTH_"+demo.Project(t)+"/box/"+o.Name, nil)
			}
			if len(objects) == 0 {
				t.Error("no object was restored")
			}
			goesOn(t, cloud)
		})
	}
}

// busy replaces and removes objects until the context ends.
func busy(ctx context.Context, t *testing.T, u testcloud.User, base string) {
	for i := 0; ctx.Err() == nil; i++ {
		name := base + fmt.Sprint("-", i%5)
		if i%7 == 6 {
			u.Do(t, "DELETE", name, nil)
			continue
		}
		got := u.Do(t, "PUT", name, fmt.Appendf(nil, "text %d of %s", i, base)).Status
		if got != 201 {
			t.Errorf("PUT %s: got %d, want 201", name, got)
			return
		}
	}
}

func TestBackupOfNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	err := app.Backup(t.Context(), app.Config{DataDir: dir}, filepath.Join(dir, "b"), &bytes.Buffer{})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that there is no cloud", err)
	}
	half := filepath.Join(dir, "half.zip")
	err = os.WriteFile(half, []byte("PK"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	err = app.Restore(t.Context(), app.Config{DataDir: filepath.Join(dir, "new")}, half, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "not a whole backup") {
		t.Errorf("got %v, want that it is not a whole backup", err)
	}
}
