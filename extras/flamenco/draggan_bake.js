// SPDX-License-Identifier: GPL-3.0-or-later

// A job type for Flamenco 3: bake the animated edits of GAN images, render the scene, make a video.
//
// Solving goes along time and is small in data, so that it is one task for each image. Everything
// after it is independent, frame by frame: chunks that write the images' files, then chunks that
// render the scene, then the video. Every task can be run again at any time, on any worker: files
// appear complete under their names or not at all, and what is there already is kept.
//
// The scene must be made ready with *Prepare for Farm* in the DragGAN panel. Installing: docs/farm.md.

const PREPARED = "getattr(C.scene, 'draggan_farm', None)";

const JOB_TYPE = {
    label: "DragGAN Bake and Render",
    description: "Bake the animated edits of GAN images, then render the scene and make a video",
    settings: [
        { key: "frames", type: "string", required: true,
          eval: "f'{C.scene.frame_start}-{C.scene.frame_end}'",
          evalInfo: { showLinkButton: true, description: "The scene's frames" },
          description: "Frames to render, such as 47, 1-30, or 3, 5-10" },
        { key: "chunk_size", type: "int32", default: 5, propargs: { min: 1 }, visible: "submission",
          description: "How many frames one render task renders" },
        { key: "bake_chunk_size", type: "int32", default: 25, propargs: { min: 1 },
          visible: "submission",
          description: "How many frames of a GAN image one bake task writes" },
        { key: "bake_dir", type: "string", subtype: "dir_path", required: true,
          eval: `${PREPARED}.base if ${PREPARED} else ''`,
          evalInfo: { showLinkButton: true, description: "The folder of Prepare for Farm" },
          description: "Folder on the shared storage where baked images go" },

        { key: "render_output_root", type: "string", subtype: "dir_path", required: true,
          visible: "submission",
          description: "Folder under which each job's renders get a folder of their own" },
        { key: "render_output_path", type: "string", subtype: "file_path", editable: false,
          eval: "str(Path(abspath(settings.render_output_root), jobname, '{timestamp}', '######'))",
          description: "Where the renders of this job go" },

        { key: "model", type: "string", subtype: "file_path", required: false, default: "",
          visible: "submission",
          description: "The GAN's checkpoint on the farm; empty for the path in the file" },
        { key: "device", type: "string", choices: ["auto", "cpu", "cuda", "mps"], default: "auto",
          visible: "submission", description: "What the bake tasks compute on" },
        { key: "engine_python", type: "string", required: false, default: "", visible: "submission",
          description: "The workers' Python with PyTorch, or a Manager variable such as "
              + "{draggan_python}; empty for what each worker has set up" },
        { key: "bake_task_type", type: "string", default: "blender", visible: "submission",
          description: "Task type of the bake tasks: 'blender' for every worker that renders, or "
              + "one of your own for those with the right graphics card" },
        { key: "extension", type: "string", default: "bl_ext.user_default.draggan_blender",
          visible: "submission", description: "The extension's module on the workers" },

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

// Blender's formats that are no single images, and those that FFmpeg does not read.
const VIDEO_FORMATS = new Set(["FFMPEG", "AVI_RAW", "AVI_JPEG"]);
const NOT_FOR_FFMPEG = new Set(["EXR", "MULTILAYER", "OPEN_EXR", "OPEN_EXR_MULTILAYER"]);

// A render task that is run again keeps the frames that it has rendered.
const KEEP_RENDERED = "import bpy; r = bpy.context.scene.render; "
    + "r.use_file_extension = True; r.use_overwrite = False; r.use_placeholder = False";

// Packing a file for the farm copies the images that exist by then, and has the file point to the
// copies. The arguments behind `--` are pairs: an image, and the first file of its baked sequence.
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
    // A retimed image can show any of its frames at any time, so that a render needs them all.
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

// What Prepare for Farm has made ready, a list of {object, image, file, frames}: the plane, the image
// that it shows, that image's first file relative to bake_dir, and which frames it has.
function preparedImages(settings) {
    const images = JSON.parse(settings.images || "[]");
    if (images.length === 0) {
        throw "No GAN image of this scene is prepared; press Prepare for Farm in the DragGAN panel";
    }
    return images;
}

// A Manager before 3.9 has no frameCount; 0 says that the number of steps is not known.
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

// Nothing where the frame rate is not known, or where FFmpeg cannot read what is rendered.
function videoTask(settings) {
    const usesPreviews = NOT_FOR_FFMPEG.has(settings.format);
    if (!settings.fps || (usesPreviews && !settings.has_previews)) {
        print("No video: the renders are not readable by FFmpeg, or the frame rate is not known");
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
            // H.264 with this pixel format has even sides.
            "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p",
            "-r", settings.fps, "-y",
        ],
    }));
    return task;
}
