// SPDX-License-Identifier: GPL-3.0-or-later

// A job type for Flamenco 3: bake the animated edits of GAN images, render the scene, make a video.
//
// Each frame is solved from the previous one, and a solved track is small, so solving is one task
// per image. After that, frames are independent: chunks write the image files, then chunks render
// the scene, then one task makes the video. Every task can be run again at any time, on any worker:
// a file appears under its name only when it is complete, and existing files are kept.
//
// Prepare the scene with *Prepare for Farm* in the DragGAN panel first. Installation: docs/farm.md.

const PREPARED = "getattr(C.scene, 'draggan_farm', None)";

const JOB_TYPE = {
    label: "DragGAN Bake and Render",
    description: "Bake the animated edits of GAN images, then render the scene and make a video",
    settings: [
        { key: "frames", type: "string", required: true,
          eval: "f'{C.scene.frame_start}-{C.scene.frame_end}'",
          evalInfo: { showLinkButton: true, description: "Frame range of the scene" },
          description: "Frames to render, such as 47, 1-30, or 3, 5-10" },
        { key: "chunk_size", type: "int32", default: 5, propargs: { min: 1 }, visible: "submission",
          description: "Number of frames per render task" },
        { key: "bake_chunk_size", type: "int32", default: 25, propargs: { min: 1 },
          visible: "submission",
          description: "Number of frames of a GAN image per bake task" },
        { key: "bake_dir", type: "string", subtype: "dir_path", required: true,
          eval: `${PREPARED}.base if ${PREPARED} else ''`,
          evalInfo: { showLinkButton: true, description: "Shared Folder of Prepare for Farm" },
          description: "Folder on the shared storage for the baked images" },

        { key: "render_output_root", type: "string", subtype: "dir_path", required: true,
          visible: "submission",
          description: "Parent folder of the renders; each job gets its own subfolder" },
        { key: "render_output_path", type: "string", subtype: "file_path", editable: false,
          eval: "str(Path(abspath(settings.render_output_root), jobname, '{timestamp}', '######'))",
          description: "Path of the rendered frames of this job" },

        { key: "model", type: "string", subtype: "file_path", required: false, default: "",
          visible: "submission",
          description: "GAN checkpoint on the farm; leave empty to use the path in the file" },
        { key: "device", type: "string", choices: ["auto", "cpu", "cuda", "mps"], default: "auto",
          visible: "submission", description: "Device that the bake tasks use" },
        { key: "engine_python", type: "string", required: false, default: "", visible: "submission",
          description: "Python with PyTorch on the workers, or a Manager variable such as "
              + "{draggan_python}; leave empty to use the setting of each worker" },
        { key: "bake_task_type", type: "string", default: "blender", visible: "submission",
          description: "Task type of the bake tasks: 'blender' to bake on every worker that renders, "
              + "or your own task type to bake only on workers with the right GPU" },
        { key: "extension", type: "string", default: "bl_ext.user_default.draggan_blender",
          visible: "submission", description: "Module name of the extension on the workers" },

        { key: "images", type: "string", required: true, visible: "hidden",
          eval: `${PREPARED}.images if ${PREPARED} else '[]'`,
          description: "The prepared GAN images, as JSON" },
        { key: "blendfile", type: "string", required: true, visible: "web",
          description: "The file to bake and render" },
        { key: "fps", type: "float", visible: "hidden",
          eval: "C.scene.render.fps / C.scene.render.fps_base" },
        { key: "format", type: "string", required: true, visible: "web",
          eval: "C.scene.render.image_settings.file_format" },
        { key: "image_file_extension", type: "string", required: true, visible: "hidden",
          eval: "C.scene.render.file_extension" },
        { key: "has_previews", type: "bool", required: false, visible: "hidden",
          eval: "C.scene.render.image_settings.use_preview" },
    ],
};

// Blender's formats that are not single images, and formats that FFmpeg cannot read.
const VIDEO_FORMATS = new Set(["FFMPEG", "AVI_RAW", "AVI_JPEG"]);
const NOT_FOR_FFMPEG = new Set(["EXR", "MULTILAYER", "OPEN_EXR", "OPEN_EXR_MULTILAYER"]);

// Keep the frames that are already rendered when a render task runs again.
const KEEP_RENDERED = "import bpy; r = bpy.context.scene.render; "
    + "r.use_file_extension = True; r.use_overwrite = False; r.use_placeholder = False";

// Packing a file for the farm copies the images that exist at that time, and makes the file use the
// copies. The arguments after `--` are pairs: an image, and the first file of its baked sequence.
const SHOW_BAKED = "import bpy, sys; a = sys.argv[sys.argv.index('--') + 1:]; "
    + "[setattr(bpy.data.images[n], 'filepath', f) for n, f in zip(a[::2], a[1::2])]";

function compileJob(job) {
    const settings = job.settings;
    const images = preparedImages(settings);
    if (VIDEO_FORMATS.has(settings.format)) {
        throw `The scene renders to ${settings.format}, which cannot be rendered in chunks; `
            + "choose an image format such as PNG in the Output properties";
    }
    settings.render_output_path = settings.render_output_path.replace(
        "{timestamp}", formatTimestampLocal(job.created));

    const bakeTasks = [];
    for (const image of images) {
        const solve = solveTask(settings, image);
        job.addTask(solve);
        for (const chunk of frameChunker(image.frames, settings.bake_chunk_size)) {
            const task = framesTask(settings, image, chunk);
            task.addDependency(solve);
            job.addTask(task);
            bakeTasks.push(task);
        }
    }
    // A retimed image can show any of its frames at any time, so a render task needs all of them.
    const renderTasks = [];
    for (const chunk of frameChunker(settings.frames, settings.chunk_size)) {
        const task = renderTask(settings, images, chunk);
        bakeTasks.forEach((bake) => task.addDependency(bake));
        job.addTask(task);
        renderTasks.push(task);
    }
    const video = videoTask(settings);
    if (video) {
        renderTasks.forEach((render) => video.addDependency(render));
        job.addTask(video);
    }
}

// Return the prepared images, a list of {object, image, file, frames}: the plane, the image that it
// shows, the first file of that image relative to bake_dir, and its frames.
function preparedImages(settings) {
    const images = JSON.parse(settings.images || "[]");
    if (images.length === 0) {
        throw "No GAN image of this scene is prepared; press Prepare for Farm in the DragGAN panel";
    }
    return images;
}

// Return the number of frames, or 0 (unknown) in a Manager before 3.9, which has no frameCount.
function stepCount(frames) {
    return typeof frameCount === "function" ? frameCount(frames) : 0;
}

function bakeCommand(settings, image, phase, frames) {
    const args = [
        "--addons", settings.extension,
        "--command", "draggan", "bake",
        "--object", image.object,
        "--only", phase,
        "--frames", frames,
        "--out", settings.bake_dir,
        "--device", settings.device || "auto",
        "--resume",
    ];
    if (settings.model) {
        args.push("--model", settings.model);
    }
    if (settings.engine_python) {
        args.push("--engine", settings.engine_python);
    }
    return author.Command("blender-render", {
        exe: "{blender}",
        exeArgs: "{blenderArgs}",
        argsBefore: [],
        blendfile: settings.blendfile,
        args: args,
    }, stepCount(frames));
}

function solveTask(settings, image) {
    const task = author.Task(`solve ${image.object}`, settings.bake_task_type || "blender");
    task.addCommand(bakeCommand(settings, image, "solve", image.frames));
    return task;
}

function framesTask(settings, image, chunk) {
    const task = author.Task(`bake ${image.object} ${chunk}`, settings.bake_task_type || "blender");
    task.addCommand(bakeCommand(settings, image, "frames", chunk));
    return task;
}

function renderTask(settings, images, chunk) {
    const task = author.Task(`render ${chunk}`, "blender");
    const shown = images.flatMap((image) => [image.image, path.join(settings.bake_dir, image.file)]);
    task.addCommand(author.Command("blender-render", {
        exe: "{blender}",
        exeArgs: "{blenderArgs}",
        argsBefore: [],
        blendfile: settings.blendfile,
        args: [
            "--python-exit-code", "1",
            "--python-expr", KEEP_RENDERED,
            "--python-expr", SHOW_BAKED,
            "--render-output", settings.render_output_path,
            "--render-format", settings.format,
            "--render-frame", chunk.replaceAll("-", ".."),
            "--", ...shown,
        ],
    }, stepCount(chunk)));
    return task;
}

// Return null if the frame rate is unknown, or if FFmpeg cannot read the renders.
function videoTask(settings) {
    const usesPreviews = NOT_FOR_FFMPEG.has(settings.format);
    if (!settings.fps || (usesPreviews && !settings.has_previews)) {
        print("No video: FFmpeg cannot read the renders, or the frame rate is unknown");
        return null;
    }
    const folder = path.dirname(settings.render_output_path);
    const name = path.stem(settings.blendfile).replace(".flamenco", "");
    const task = author.Task("video", "ffmpeg");
    task.addCommand(author.Command("frames-to-video", {
        exe: "ffmpeg",
        fps: settings.fps,
        inputGlob: path.join(folder, `*${usesPreviews ? ".jpg" : settings.image_file_extension}`),
        outputFile: path.join(folder, `${name}.mp4`),
        args: [
            "-c:v", "h264", "-crf", "20", "-g", "18",
            // H.264 with this pixel format requires an even width and height.
            "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p",
            "-r", settings.fps, "-y",
        ],
    }));
    return task;
}
