package image

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/bus"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// The types of tasks.
const (
	TaskImport         = "api_image_import" // asked for at the image
	TaskCreateImport   = "import"           // makes the image, too
	TaskLocationImport = "location_import"  // from a location that was given
)

// The states of a task.
const (
	TaskPending    = "pending"
	TaskProcessing = "processing"
	TaskSuccess    = "success"
	TaskFailure    = "failure"
)

// taskLife is how long a task that has ended is remembered, Glance's default.
const taskLife = 48 * time.Hour

// Task is what users see of a plan about an image. The plan writes it, in the
// transactions of its own steps.
type Task struct {
	bun.BaseModel `bun:"table:image_tasks"`

	ID        string `bun:",pk"`
	Type      string
	Status    string
	Image     string // id, "" for none
	Owner     string // project id
	UserID    string
	RequestID string
	Input     db.JSON[json.RawMessage]
	Result    db.JSON[json.RawMessage]
	Message   string
	CreatedAt db.Time
	UpdatedAt db.Time
	ExpiresAt db.Time // 0 until it has ended
}

func newTask(kind, image string, by work.Caller, input any) (Task, error) {
	raw, err := json.Marshal(input)
	return Task{
		ID: clock.UUID(), Type: kind, Status: TaskPending, Image: image, Owner: by.Project, UserID: by.User, RequestID: by.Request,
		Input: db.Of(json.RawMessage(raw)), Result: db.Of(json.RawMessage("null")),
	}, err
}

func insertTask(ctx context.Context, tx *db.Tx, t *Task) error {
	t.CreatedAt = db.At(tx.Now())
	t.UpdatedAt = t.CreatedAt
	err := tx.Insert(ctx, t)
	if err != nil {
		return err
	}
	return t.emit(ctx, tx, "task.create")
}

// taskEvents are what is told of a task that gets to a status.
var taskEvents = map[string]string{TaskProcessing: "task.processing", TaskSuccess: "task.success", TaskFailure: "task.failure"}

// setTask moves a task on.
func setTask(ctx context.Context, tx *db.Tx, id, status, message string, result any) error {
	var t Task
	err := tx.Get(ctx, &t, "SELECT * FROM image_tasks WHERE id = ?", id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return err
	}
	t.Status, t.Message, t.Result, t.UpdatedAt = status, message, db.Of(json.RawMessage(raw)), db.At(tx.Now())
	if status == TaskSuccess || status == TaskFailure {
		t.ExpiresAt = db.At(tx.Now().Add(taskLife))
	}
	_, err = tx.Update(ctx, &t, "status", "message", "result", "updated_at", "expires_at")
	if err != nil {
		return err
	}
	return t.emit(ctx, tx, taskEvents[status])
}

func (t Task) emit(ctx context.Context, tx *db.Tx, kind string) error {
	return bus.Emit(ctx, tx, bus.Event{Topic: "notifications.glance", Type: kind, Resource: t.ID, Payload: map[string]any{
		"id": t.ID, "type": t.Type, "status": t.Status, "owner": t.Owner, "image_id": t.Image, "request_id": t.RequestID, "user_id": t.UserID,
		"message": t.Message, "created_at": t.CreatedAt.Time().Format(time.RFC3339), "updated_at": t.UpdatedAt.Time().Format(time.RFC3339),
	}})
}

// Tasks lists the tasks that the viewer sees: all, for an administrator.
func (s *Service) Tasks(ctx context.Context, who Viewer, where []db.Cond, page db.Page) (tasks []Task, more bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if page.Marker != "" {
			_, err := taskSeen(ctx, tx, who, page.Marker)
			if err != nil {
				return errs.BadRequestf("No task found with ID %s", page.Marker)
			}
		}
		q := tx.NewSelect().TableExpr("image_tasks").ColumnExpr("image_tasks.*")
		if !who.Admin {
			q = q.Where("owner = ?", who.Project)
		}
		return page.Cut(db.Where(q, where), "image_tasks", "id").Scan(ctx, &tasks)
	})
	if err != nil {
		return nil, false, fmt.Errorf("list tasks: %w", err)
	}
	tasks, more = db.Trim(page, tasks)
	return tasks, more, nil
}

// TasksOf lists the tasks about an image, the oldest first.
func (s *Service) TasksOf(ctx context.Context, image string) (tasks []Task, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.All(ctx, &tasks, "SELECT * FROM image_tasks WHERE image = ? ORDER BY created_at, id", image)
	})
	if err != nil {
		return nil, fmt.Errorf("list tasks of image %s: %w", image, err)
	}
	return tasks, nil
}

// Task returns a task that the viewer sees.
func (s *Service) Task(ctx context.Context, who Viewer, id string) (t Task, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		t, err = taskSeen(ctx, tx, who, id)
		return err
	})
	return t, err
}

func taskSeen(ctx context.Context, tx *db.Tx, who Viewer, id string) (Task, error) {
	var t Task
	err := tx.Get(ctx, &t, "SELECT * FROM image_tasks WHERE id = ?", id)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && !who.Admin && t.Owner != who.Project) {
		return Task{}, errs.NotFoundf("No task found with ID %s", id)
	}
	if err != nil {
		return Task{}, fmt.Errorf("read task %s: %w", id, err)
	}
	return t, nil
}

// RemoveTask forgets a task that has ended.
func (s *Service) RemoveTask(ctx context.Context, t Task) error {
	if t.ExpiresAt == 0 {
		return errs.Conflictf("Task %s is %s: it can be deleted when it has ended.", t.ID, t.Status)
	}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM image_tasks WHERE id = ?", t.ID)
		if err != nil {
			return err
		}
		return t.emit(ctx, tx, "task.delete")
	})
	if err != nil {
		return fmt.Errorf("remove task %s: %w", t.ID, err)
	}
	return nil
}

// forgetTasks removes tasks that ended long ago.
func (s *Service) forgetTasks(ctx context.Context) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM image_tasks WHERE expires_at <> 0 AND expires_at < ?", db.At(tx.Now()))
		return err
	})
}
