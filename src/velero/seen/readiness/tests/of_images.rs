//! What is told of images that cannot be pulled.

use super::*;

#[test]
fn images_that_admission_has_rewritten_are_as_planned() {
    let mirrored = "mirror.test/velero/velero:v1.18.3";
    let mut server_pod = pod(&running());
    server_pod.spec.as_mut().unwrap().containers[0].image = Some(mirrored.into());
    let mut observed = observed(vec![server_pod.clone()]);
    let template = &mut observed.server.as_mut().unwrap().spec.as_mut().unwrap().template;
    template.spec.as_mut().unwrap().containers[0].image = Some(mirrored.into());
    let template = &mut observed.node_agent.as_mut().unwrap().spec.as_mut().unwrap().template;
    template.spec.as_mut().unwrap().containers[0].image = Some(mirrored.into());
    assert_eq!(told(&observed), [] as [&str; 0]);
    // What keeps such a pod from running is told also where its image is in no template.
    server_pod.status = pod(&waiting("ErrImagePull", "not found")).status;
    assert_eq!(
        first(&unavailable(vec![server_pod])),
        format!("blocked: cannot pull image {mirrored} (ErrImagePull), check the option velero-image: not found")
    );
}

#[test]
fn an_image_that_cannot_be_pulled_is_told_with_the_option_that_chooses_it() {
    let failed = waiting(
        "ImagePullBackOff",
        "Back-off pulling image \"x\": ErrImagePull: failed to resolve reference \"x\": docker.io/x: not found",
    );
    for (pod, image, remedy) in [
        (server_pod("velero-1", &json!({}), &failed), IMAGE, ", check the option velero-image"),
        (server_pod("velero-1", &failed, &json!({})), PLUGIN, ", check the option velero-aws-plugin-image"),
    ] {
        let observed = unavailable(vec![pod]);
        assert!(settled(&observed));
        assert_eq!(
            first(&observed),
            format!("blocked: cannot pull image {image} (ImagePullBackOff){remedy}: docker.io/x: not found")
        );
    }
    // No option chooses the image of a container that something in the cluster has added.
    let mut meshed = server_pod("velero-1", &failed, &json!({}));
    let added = &mut meshed.spec.as_mut().unwrap().init_containers.as_mut().unwrap()[0];
    (added.image, added.volume_mounts) = (Some("mesh.test/init:v1".into()), None);
    assert_eq!(
        first(&unavailable(vec![meshed.clone()])),
        "blocked: cannot pull image mesh.test/init:v1 (ImagePullBackOff): docker.io/x: not found"
    );
    // It may have any name.
    meshed.spec.as_mut().unwrap().init_containers.as_mut().unwrap()[0].name = "node-agent".into();
    meshed.status.as_mut().unwrap().init_container_statuses.as_mut().unwrap()[0].name = "node-agent".into();
    assert!(!first(&unavailable(vec![meshed])).contains("check the option"));
    // What mounts the plugins beside the server is none of them.
    let mut sidecar = server_pod("velero-1", &json!({}), &failed);
    let container = &mut sidecar.spec.as_mut().unwrap().containers[0];
    container.volume_mounts = Some(parse(json!([{"name": "plugins", "mountPath": "/plugins"}])));
    let said = first(&unavailable(vec![sidecar.clone()]));
    assert!(said.contains("check the option velero-image"), "{said}");
    sidecar.spec.as_mut().unwrap().containers[0].name = "mesh".into();
    sidecar.status.as_mut().unwrap().container_statuses.as_mut().unwrap()[0].name = "mesh".into();
    let said = first(&unavailable(vec![sidecar]));
    assert!(said.contains("cannot pull image") && !said.contains("check the option"), "{said}");
}
