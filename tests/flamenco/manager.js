// SPDX-License-Identifier: GPL-3.0-or-later

// A fake of the part of Flamenco Manager that job types use: the documented author API, the
// functions around it, and what the Manager does with a job before and after its script.
//
// Standard input: {"script": PATH, "settings": {...}, "jobname": TEXT, "old": BOOL}; "old" removes
// what was added in 3.9. Standard output: {"job_type": ...} and {"tasks": [...]} or {"error": ...}.
// Like the Manager's own interpreter, it copies a task when it is added to the job, so that later
// changes of a task are lost, and scripts cannot use node.

"use strict";

const fs = require("fs");
const vm = require("vm");

const TYPES = { string: "string", int32: "number", float: "number", bool: "boolean" };

class Command {
    constructor(name, parameters, totalStepCount) {
        Object.assign(this, { name, parameters, totalStepCount });
    }
}

class Task {
    constructor(name, type) {
        Object.assign(this, { name, type, priority: 50 });
        this.commands = [];
        this.dependencies = [];
    }

    addCommand(command) {
        require_(command instanceof Command, "addCommand needs a command made by author.Command");
        this.commands.push(command);
    }

    addDependency(task) {
        require_(task instanceof Task, "addDependency needs a task made by author.Task");
        this.dependencies.push(task.name);
    }
}

function require_(holds, text) {
    if (!holds) {
        throw new Error(text);
    }
}

const author = {
    Task: (name, type) => {
        require_(name && name.trim(), "author.Task(name, type): name is required");
        require_(type && type.trim(), "author.Task(name, type): type is required");
        return new Task(name.trim(), type.trim());
    },
    Command: (name, parameters, totalStepCount = 0) => {
        require_(Number.isInteger(totalStepCount), "the number of steps must be an integer");
        return new Command(name, parameters, totalStepCount);
    },
};

// Handles both kinds of slashes, like the Manager, whose workers can have any system.
const path = {
    dirname: (text) => text.replace(/[\\/][^\\/]*$/, "") || "/",
    basename: (text) => text.replace(/^.*[\\/]/, ""),
    stem: (text) => path.basename(text).replace(/\.[^.]*$/, ""),
    join: (...parts) => {
        const separator = parts.some((part) => part.includes("\\")) ? "\\" : "/";
        return parts.map((part, index) => {
            const start = index ? part.replace(/^[\\/]+/, "") : part;
            return start.replace(/[\\/]+$/, "").replace(/[\\/]/g, separator);
        }).join(separator);
    },
};

function explode(range) {
    const numbers = new Set();
    for (const part of range.replaceAll("..", "-").split(",")) {
        const ends = part.split("-").map((text) => {
            require_(/^\s*\d+\s*$/.test(text), `invalid range "${range}"`);
            return parseInt(text, 10);
        });
        require_(ends.length <= 2, `invalid range "${range}"`);
        for (let number = ends[0]; number <= ends[ends.length - 1]; number++) {
            numbers.add(number);
        }
    }
    return [...numbers].sort((a, b) => a - b);
}

// Writes runs of three or more numbers as first-last; two consecutive numbers stay two numbers.
function merge(numbers) {
    const runs = [];
    for (const number of numbers) {
        const last = runs[runs.length - 1];
        if (last && number === last[1] + 1) {
            last[1] = number;
        } else {
            runs.push([number, number]);
        }
    }
    return runs.map(([first, last]) => {
        if (last - first > 1) {
            return `${first}-${last}`;
        }
        return first === last ? `${first}` : `${first},${last}`;
    }).join(",");
}

function frameChunker(range, size) {
    require_(Number.isInteger(size) && size > 0, `invalid chunk size ${size}`);
    const numbers = explode(range);
    const chunks = [];
    for (let start = 0; start < numbers.length; start += size) {
        chunks.push(merge(numbers.slice(start, start + size)));
    }
    return chunks;
}

function checkedSettings(jobType, given) {
    const known = new Map(jobType.settings.map((setting) => [setting.key, setting]));
    const settings = {};
    for (const [key, setting] of known) {
        require_(TYPES[setting.type], `${key} has the unknown type ${setting.type}`);
        const value = key in given ? given[key] : setting.default;
        require_(!setting.required || value !== undefined, `the setting ${key} is required`);
        if (value !== undefined) {
            require_(typeof value === TYPES[setting.type], `${key} must be a ${setting.type}`);
            require_(!setting.choices || setting.choices.includes(value), `${key}: ${value}`);
            settings[key] = value;
        }
    }
    for (const key of Object.keys(given)) {
        require_(known.has(key), `the job type has no setting ${key}`);
    }
    return settings;
}

function checkCommand(command) {
    const { name, parameters } = command;
    if (name === "blender-render") {
        for (const key of ["exe", "exeArgs", "blendfile"]) {
            require_(typeof parameters[key] === "string", `blender-render: ${key} must be a string`);
        }
        for (const key of ["argsBefore", "args"]) {
            const isTexts = Array.isArray(parameters[key])
                && parameters[key].every((part) => typeof part === "string");
            require_(isTexts, `blender-render: ${key} must be strings`);
        }
    } else if (name === "frames-to-video") {
        require_(typeof parameters.fps === "number", "frames-to-video: fps must be a number");
        for (const key of ["exe", "inputGlob", "outputFile"]) {
            require_(typeof parameters[key] === "string", `frames-to-video: ${key} must be a string`);
        }
    } else {
        throw new Error(`this fake has no command ${name}`);
    }
}

function compile(request) {
    const context = {
        author, path, frameChunker,
        print: () => {},
        alert: () => {},
        formatTimestampLocal: (date) => date.toISOString().replace("T", "_").slice(0, 19)
            .replaceAll(":", ""),
    };
    if (!request.old) {
        context.frameCount = (range) => explode(range).length;
    }
    vm.createContext(context);
    const source = fs.readFileSync(request.script, "utf8");
    vm.runInContext(`${source}\n;globalThis.made = { JOB_TYPE, compileJob };`, context);
    const { JOB_TYPE, compileJob } = context.made;
    if (!request.settings) {
        return { job_type: JOB_TYPE };
    }
    const tasks = [];
    compileJob({
        name: request.jobname,
        created: new Date(Date.UTC(2026, 10, 23, 12, 30, 0)),
        settings: checkedSettings(JOB_TYPE, request.settings),
        addTask: (task) => {
            require_(task instanceof Task, "addTask needs a task made by author.Task");
            tasks.push({
                ...task, commands: [...task.commands], dependencies: [...task.dependencies],
            });
        },
    });
    const names = new Set(tasks.map((task) => task.name));
    require_(names.size === tasks.length, "two tasks have the same name");
    for (const task of tasks) {
        require_(task.commands.length > 0, `${task.name} has no commands`);
        task.commands.forEach(checkCommand);
        task.dependencies.forEach((name) => require_(names.has(name), `${name} is not a task`));
    }
    return { job_type: JOB_TYPE, tasks };
}

let answer;
try {
    answer = compile(JSON.parse(fs.readFileSync(0, "utf8")));
} catch (error) {
    // A script throws strings, which the Manager shows to the person who submits the job.
    answer = { error: error && error.message ? error.message : String(error) };
}
process.stdout.write(JSON.stringify(answer));
