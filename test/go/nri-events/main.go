// nri-events is a plugin that compiles with NRI v0.8.0 and newer. It prints each event as a line of JSON, and sets the
// variable that -set names in each new container. Stubs that do not know an event ignore its method.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"os"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
)

var variable = flag.String("set", "", "the variable, as NAME")

type plugin struct{}

type event struct {
	Event     string `json:"event"`
	Pod       string `json:"pod,omitempty"`
	Container string `json:"container,omitempty"`
}

func say(name string, pod *api.PodSandbox, container *api.Container) error {
	return json.NewEncoder(os.Stdout).Encode(event{name, pod.GetId(), container.GetId()})
}

func (*plugin) Synchronize(context.Context, []*api.PodSandbox, []*api.Container) ([]*api.ContainerUpdate, error) {
	return nil, say("Synchronize", nil, nil)
}

func (*plugin) RunPodSandbox(_ context.Context, pod *api.PodSandbox) error {
	return say("RunPodSandbox", pod, nil)
}

func (*plugin) UpdatePodSandbox(_ context.Context, pod *api.PodSandbox, _, _ *api.LinuxResources) error {
	return say("UpdatePodSandbox", pod, nil)
}

func (*plugin) PostUpdatePodSandbox(_ context.Context, pod *api.PodSandbox) error {
	return say("PostUpdatePodSandbox", pod, nil)
}

func (*plugin) StopPodSandbox(_ context.Context, pod *api.PodSandbox) error {
	return say("StopPodSandbox", pod, nil)
}

func (*plugin) RemovePodSandbox(_ context.Context, pod *api.PodSandbox) error {
	return say("RemovePodSandbox", pod, nil)
}

func (*plugin) CreateContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	adjust := &api.ContainerAdjustment{}
	adjust.AddEnv(*variable, "set")
	return adjust, nil, say("CreateContainer", pod, container)
}

func (*plugin) PostCreateContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) error {
	return say("PostCreateContainer", pod, container)
}

func (*plugin) StartContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) error {
	return say("StartContainer", pod, container)
}

func (*plugin) PostStartContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) error {
	return say("PostStartContainer", pod, container)
}

func (*plugin) UpdateContainer(_ context.Context, pod *api.PodSandbox, container *api.Container, _ *api.LinuxResources) ([]*api.ContainerUpdate, error) {
	return nil, say("UpdateContainer", pod, container)
}

func (*plugin) PostUpdateContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) error {
	return say("PostUpdateContainer", pod, container)
}

func (*plugin) StopContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) ([]*api.ContainerUpdate, error) {
	return nil, say("StopContainer", pod, container)
}

func (*plugin) RemoveContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) error {
	return say("RemoveContainer", pod, container)
}

func main() {
	name := flag.String("name", "", "the name of the plugin")
	index := flag.String("idx", "", "the index of the plugin")
	socket := flag.String("socket", "", "where the runtime listens")
	flag.Parse()
	s, err := stub.New(&plugin{}, stub.WithPluginName(*name), stub.WithPluginIdx(*index), stub.WithSocketPath(*socket))
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
