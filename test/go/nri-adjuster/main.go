// nri-adjuster is a plugin over NRI's own stub. It answers each CreateContainer with the ContainerAdjustment that a file
// has as JSON, or else its own configuration. It rejects a container whose adjustment has the annotation "reject", and
// prints each event as a line of JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"os"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
	"google.golang.org/protobuf/encoding/protojson"
)

var adjustment = flag.String("adjust", "", "the file with the adjustment")

type plugin struct {
	configuration string
}

type event struct {
	Event     string `json:"event"`
	Pod       string `json:"pod,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	IPs       int    `json:"ips,omitempty"`
	Container string `json:"container,omitempty"`
	State     string `json:"state,omitempty"`
	HasPid    bool   `json:"hasPid,omitempty"`
	Shares    uint64 `json:"shares,omitempty"`

	// The members of Synchronize.
	Pods       []string `json:"pods,omitempty"`
	Containers []string `json:"containers,omitempty"`
}

func say(name string, pod *api.PodSandbox, container *api.Container) {
	sayShares(name, pod, container, nil)
}

func sayShares(name string, pod *api.PodSandbox, container *api.Container, resources *api.LinuxResources) {
	seen := event{
		Event:     name,
		Pod:       pod.GetId(),
		Namespace: pod.GetNamespace(),
		IPs:       len(pod.GetIps()),
		Container: container.GetId(),
		HasPid:    container.GetPid() > 0,
		Shares:    resources.GetCpu().GetShares().GetValue(),
	}
	if container != nil {
		seen.State = container.GetState().String()
	}
	printLine(seen)
}

func printLine(seen event) {
	if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
		log.Fatal(err)
	}
}

func (p *plugin) Configure(_ context.Context, configuration, _, _ string) (api.EventMask, error) {
	p.configuration = configuration
	return 0, nil
}

func (*plugin) Synchronize(_ context.Context, pods []*api.PodSandbox, containers []*api.Container) ([]*api.ContainerUpdate, error) {
	seen := event{Event: "Synchronize"}
	for _, pod := range pods {
		seen.Pods = append(seen.Pods, pod.GetId())
	}
	for _, container := range containers {
		seen.Containers = append(seen.Containers, container.GetId())
	}
	printLine(seen)
	return nil, nil
}

func (*plugin) RunPodSandbox(_ context.Context, pod *api.PodSandbox) error {
	say("RunPodSandbox", pod, nil)
	return nil
}

func (*plugin) UpdatePodSandbox(_ context.Context, pod *api.PodSandbox, _, resources *api.LinuxResources) error {
	sayShares("UpdatePodSandbox", pod, nil, resources)
	return nil
}

func (*plugin) PostUpdatePodSandbox(_ context.Context, pod *api.PodSandbox) error {
	say("PostUpdatePodSandbox", pod, nil)
	return nil
}

func (*plugin) StopPodSandbox(_ context.Context, pod *api.PodSandbox) error {
	say("StopPodSandbox", pod, nil)
	return nil
}

func (*plugin) RemovePodSandbox(_ context.Context, pod *api.PodSandbox) error {
	say("RemovePodSandbox", pod, nil)
	return nil
}

func (p *plugin) CreateContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	say("CreateContainer", pod, container)
	text := []byte(p.configuration)
	if *adjustment != "" {
		var err error
		if text, err = os.ReadFile(*adjustment); err != nil {
			return nil, nil, err
		}
	}
	adjust := &api.ContainerAdjustment{}
	return adjust, nil, protojson.Unmarshal(text, adjust)
}

func (*plugin) ValidateContainerAdjustment(_ context.Context, request *api.ValidateContainerAdjustmentRequest) error {
	say("ValidateContainerAdjustment", request.GetPod(), request.GetContainer())
	if reason, rejects := request.GetAdjust().GetAnnotations()["reject"]; rejects {
		return errors.New(reason)
	}
	return nil
}

func (*plugin) PostCreateContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) error {
	say("PostCreateContainer", pod, container)
	return nil
}

func (*plugin) StartContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) error {
	say("StartContainer", pod, container)
	return nil
}

func (*plugin) PostStartContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) error {
	say("PostStartContainer", pod, container)
	return nil
}

func (*plugin) UpdateContainer(_ context.Context, pod *api.PodSandbox, container *api.Container, resources *api.LinuxResources) ([]*api.ContainerUpdate, error) {
	sayShares("UpdateContainer", pod, container, resources)
	return nil, nil
}

func (*plugin) PostUpdateContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) error {
	say("PostUpdateContainer", pod, container)
	return nil
}

func (*plugin) StopContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) ([]*api.ContainerUpdate, error) {
	say("StopContainer", pod, container)
	return nil, nil
}

func (*plugin) RemoveContainer(_ context.Context, pod *api.PodSandbox, container *api.Container) error {
	say("RemoveContainer", pod, container)
	return nil
}

// main runs the plugin until its connection closes. A plugin that the runtime has launched has its name, its index and
// its connection from the environment.
func main() {
	socket := flag.String("socket", "", "where the runtime listens")
	index := flag.String("index", "10", "the index of the plugin")
	flag.Parse()
	var options []stub.Option
	if *socket != "" {
		options = append(options, stub.WithPluginName("adjuster"), stub.WithPluginIdx(*index), stub.WithSocketPath(*socket))
	}
	s, err := stub.New(&plugin{}, options...)
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
