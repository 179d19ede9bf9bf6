// Deliver one message with nodemailer: a job as JSON on standard input, the message in the file that it names.
const fs = require("node:fs");
const nodemailer = require("nodemailer");

const job = JSON.parse(fs.readFileSync(0, "utf8"));
const transport = nodemailer.createTransport({ host: job.host, port: job.port, name: "node.example.org", ignoreTLS: true });
transport.sendMail({ envelope: { from: job.sender, to: job.recipients }, raw: fs.readFileSync(job.file) }).then(
  (sent) => process.exit(sent.rejected.length),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
