package api

import (
	"encoding/json"
	"slices"
	"time"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fetch"
	"nacre/internal/image"
)

func (h handlers) taskRoutes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/v2/images/{image_id}/tasks", Rule: "get_image", Do: api.Get(h.imageTasks)},
		{Method: "POST", Path: "/v2/tasks", Rule: "tasks_api_access", OK: 201, Do: api.Get(h.createTask)},
		{Method: "GET", Path: "/v2/tasks", Rule: "tasks_api_access", Do: api.Get(h.listTasks)},
		{Method: "GET", Path: "/v2/tasks/{task_id}", Rule: "tasks_api_access", Do: api.Get(h.showTask)},
		{Method: "DELETE", Path: "/v2/tasks/{task_id}", Rule: "tasks_api_access", OK: 204, Do: api.Empty(h.removeTask)},
	}
}

// taskStub is a task in a list.
type taskStub struct {
	ID        string     `json:"id"`
	Type      string     `json:"type"`
	Status    string     `json:"status"`
	Owner     string     `json:"owner"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	Self      string     `json:"self"`
	Schema    string     `json:"schema"`
}

type taskView struct {
	taskStub
	Image     string          `json:"image_id,omitempty"`
	RequestID string          `json:"request_id,omitempty"`
	UserID    string          `json:"user_id,omitempty"`
	Input     json.RawMessage `json:"input"`
	Result    json.RawMessage `json:"result"`
	Message   string          `json:"message"`
}

func stub(t image.Task) taskStub {
	v := taskStub{
		ID: t.ID, Type: t.Type, Status: t.Status, Owner: t.Owner, CreatedAt: t.CreatedAt.Time(), UpdatedAt: t.UpdatedAt.Time(),
		Self: "/v2/tasks/" + t.ID, Schema: "/v2/schemas/task",
	}
	if t.ExpiresAt != 0 {
		ends := t.ExpiresAt.Time()
		v.ExpiresAt = &ends
	}
	return v
}

func viewTask(t image.Task) taskView {
	return taskView{stub(t), t.Image, t.RequestID, t.UserID, t.Input.V, t.Result.V, t.Message}
}

type imageTasksView struct {
	Tasks []taskView `json:"tasks"`
}

func (h handlers) imageTasks(c *api.Call) (reply imageTasksView, err error) {
	found, err := h.find(c)
	if err != nil {
		return reply, err
	}
	tasks, err := h.images.TasksOf(c.Context(), found.ID)
	for _, t := range tasks {
		reply.Tasks = append(reply.Tasks, viewTask(t))
	}
	return reply, err
}

// taskBody asks for an image that is made and imported in one go.
type taskBody struct {
	Type  string `json:"type" check:"required"`
	Input *struct {
		From       string     `json:"import_from"`
		FromFormat string     `json:"import_from_format"`
		Properties attributes `json:"image_properties"`
		_          struct{}   `check:"open"`
	} `json:"input" check:"required"`
	_ struct{} `check:"open"`
}

func (h handlers) createTask(c *api.Call) (taskView, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return taskView{}, err
	}
	var in taskBody
	err = body(c, &in)
	switch {
	case err != nil:
		return taskView{}, err
	case in.Type != image.TaskCreateImport:
		return taskView{}, errs.BadRequestf("Tasks of type '%s' cannot be created, only those of type '%s'.", in.Type, image.TaskCreateImport)
	case in.Input == nil || in.Input.From == "":
		return taskView{}, errs.BadRequestf("Input does not contain 'import_from' field")
	case in.Input.FromFormat == "":
		return taskView{}, errs.BadRequestf("Input does not contain 'import_from_format' field")
	case in.Input.Properties == nil:
		return taskView{}, errs.BadRequestf("Input does not contain 'image_properties' field")
	}
	err = fetch.Check(in.Input.From)
	if err != nil {
		return taskView{}, errs.BadRequestf("import_from does not pass filtering: %s", err)
	}
	n, err := h.newImage(c, in.Input.Properties)
	if err != nil {
		return taskView{}, err
	}
	imp := image.NewImport{Method: image.WebDownload, URI: in.Input.From, MustSucceed: true, TaskType: image.TaskCreateImport, By: by(c)}
	imp.Request, err = c.Raw()
	if err != nil {
		return taskView{}, err
	}
	task, err := h.images.CreateImported(c.Context(), n, imp)
	if err != nil {
		return taskView{}, err
	}
	c.SetHeader("Location", c.URL("/v2/tasks/"+task.ID))
	return viewTask(task), nil
}

type tasksView struct {
	Tasks  []taskStub `json:"tasks"`
	First  string     `json:"first"`
	Next   string     `json:"next,omitempty"`
	Schema string     `json:"schema"`
}

var taskSorts = sorts{keys: []string{"created_at", "updated_at", "expires_at", "status", "type", "id"}, last: "id"}

func (h handlers) listTasks(c *api.Call) (tasksView, error) {
	err := c.AuthorizeOwn()
	if err != nil {
		return tasksView{}, err
	}
	q := c.Query()
	page, err := pageOf(q, taskSorts)
	if err != nil {
		return tasksView{}, err
	}
	var where []db.Cond
	for name, allowed := range map[string][]string{
		"status": {image.TaskPending, image.TaskProcessing, image.TaskSuccess, image.TaskFailure},
		"type":   {image.TaskCreateImport, image.TaskImport, image.TaskLocationImport},
	} {
		value := q.Get(name)
		if value == "" {
			continue
		}
		if !slices.Contains(allowed, value) {
			return tasksView{}, errs.BadRequestf("Invalid %s value: %s", name, value)
		}
		where = append(where, db.Cond{Filter: db.Filter{Column: name}, Values: []any{value}})
	}
	reply := tasksView{First: "/v2/tasks" + rest(q, ""), Schema: "/v2/schemas/tasks"}
	if page.Limit == 0 {
		return reply, nil
	}
	tasks, more, err := h.images.Tasks(c.Context(), viewer(c), where, page)
	if err != nil {
		return tasksView{}, err
	}
	for _, t := range tasks {
		reply.Tasks = append(reply.Tasks, stub(t))
	}
	if more {
		reply.Next = "/v2/tasks" + rest(q, tasks[len(tasks)-1].ID)
	}
	return reply, nil
}

// task finds the task of the path and authorizes the row's rule.
func (h handlers) task(c *api.Call) (image.Task, error) {
	found, err := h.images.Task(c.Context(), viewer(c), c.PathValue("task_id"))
	if err != nil {
		return image.Task{}, err
	}
	return found, c.Authorize(auth.Target{Project: found.Owner})
}

func (h handlers) showTask(c *api.Call) (taskView, error) {
	found, err := h.task(c)
	return viewTask(found), err
}

func (h handlers) removeTask(c *api.Call) error {
	found, err := h.task(c)
	if err != nil {
		return err
	}
	return h.images.RemoveTask(c.Context(), found)
}
